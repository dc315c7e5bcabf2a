use std::time::Duration;

/// What a request that places a call meets.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Nothing: it rings, and is answered.
    Accept,
    /// It is accepted and waits: it rings when [`super::FakeCarrier::release`] is called, unless it is called off.
    Queue,
    /// It rings at once, and is answered this much later.
    Delay(Duration),
    /// It rings; the connection is closed without an answer.
    DropBeforeAnswer,
    /// The connection is closed before the request is read; nothing rings.
    DropUnread,
    /// It rings, and is answered with this status of 500 and above.
    ErrorAfterPlacing(u16),
    /// It is refused with this status, and with this code or these words where the service has its own.
    Refuse(u16, &'static str),
    /// It is refused as too fast, in the service's own way, with what it says about the time to wait.
    RateLimit {
        /// In whole seconds; `None`: nothing is said.
        retry_after: Option<u64>,
    },
    /// LiveKit: it rings, and the callee's SIP response comes back as an error of the request.
    Sip(u16),
    /// It rings and is answered with an identifier that nothing else knows, until
    /// [`super::FakeCarrier::remember`] is called.
    Forget,
    /// It rings, and is answered with a success that is no JSON.
    Garbage,
    /// It rings, and is answered with a success that names no call.
    SuccessWithoutId,
    /// Nothing rings, and it is answered with the success that means failure, where the service has one: Vapi
    /// (`concurrencyBlocked`), ElevenLabs and trigger URLs (`success` false), Bland (`status` error).
    MeansFailure,
    /// It rings, and its answer has a mebibyte of spaces behind it.
    HugeBody,
    /// It rings, and half of its answer comes; the rest never does.
    SlowBody,
}
