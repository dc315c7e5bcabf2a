//! ElevenLabs, API reference: Twilio and SIP trunk outbound calls, List and Get conversations; post-call webhooks.

use serde_json::{Value, json};

use super::adapter::{Adapter, Answer, Ask, Placing, Report, Route};
use super::books::{FakeCall, FakeEnding, FakeState};
use super::keys::Keys;
use super::sign::{now, sha256_hex};

pub(super) struct ElevenLabs;

fn result(ending: FakeEnding) -> &'static str {
    match ending {
        FakeEnding::Completed => "answered",
        FakeEnding::Busy => "busy",
        FakeEnding::NoAnswer => "no_answer",
        _ => "failed",
    }
}

fn client(call: &FakeCall) -> &Value {
    &call.asked["conversation_initiation_client_data"]
}

fn shown(call: &FakeCall) -> Value {
    let status = match call.state {
        FakeState::Queued | FakeState::Ringing => "initiated",
        FakeState::Answered => "in-progress",
        FakeState::Ended(FakeEnding::Completed) => "done",
        FakeState::Ended(_) => "failed",
    };
    json!({
        "agent_id": call.asked["agent_id"], "conversation_id": call.id, "status": status,
        "user_id": client(call)["user_id"], "conversation_initiation_client_data": client(call),
        "metadata": {
            "start_time_unix_secs": call.created.as_second(),
            "phone_call": {
                "direction": "outbound", "external_number": call.to, "call_sid": call.other,
                "phone_number_id": call.from, "call_result": call.ending().map(result),
            },
            "termination_reason": call.ending().map(result),
        },
    })
}

impl Adapter for ElevenLabs {
    fn route(&self, ask: &Ask) -> Route {
        match (ask.line().0, ask.line().1.as_slice()) {
            ("POST", ["v1", "convai", "twilio" | "sip-trunk", "outbound-call"]) => Route::Create,
            ("GET", ["v1", "convai", "conversations"]) => Route::Find,
            ("GET", ["v1", "convai", "conversations", id]) => Route::Status((*id).to_owned()),
            _ => Route::Nothing,
        }
    }

    fn allows(&self, ask: &Ask, keys: &Keys) -> bool {
        ask.header("xi-api-key") == keys.secret
    }

    fn placing(&self, ask: &Ask) -> Result<Placing, String> {
        ask.needed("/agent_id")?;
        let (from, to) = (
            ask.needed("/agent_phone_number_id")?,
            ask.needed("/to_number")?,
        );
        Ok(Placing::new(from, to))
    }

    fn shape(&self) -> fn(&str) -> String {
        |digits| format!("conv_{digits}")
    }

    fn placed(&self, call: &FakeCall, _: &Keys) -> Answer {
        let body = json!({
            "success": true, "message": "Outbound call initiated",
            "conversation_id": call.id, "callSid": call.other,
        });
        Answer::new(200, body)
    }

    fn refusal(&self, status: u16, code: &str) -> Answer {
        let detail = match status {
            422 => json!([{"loc": ["body", code], "msg": "Field required", "type": "missing"}]),
            _ => json!({"status": code, "message": code}),
        };
        Answer::new(status, json!({"detail": detail}))
    }

    fn too_fast(&self) -> Answer {
        self.refusal(429, "too_many_concurrent_requests")
    }

    fn failure(&self, _: &FakeCall) -> Option<(Answer, bool)> {
        let body = json!({
            "success": false, "message": "The phone number is not set up",
            "conversation_id": null, "callSid": null,
        });
        Some((Answer::new(200, body), false))
    }

    fn find(&self, ask: &Ask, calls: &[&FakeCall]) -> Answer {
        let after = ask.queried("call_start_after_unix");
        let after: i64 = after.and_then(|after| after.parse().ok()).unwrap_or(0);
        let fits = |call: &&&FakeCall| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            ask.wants("agent_id", &text(&call.asked["agent_id"]))
                && ask.wants("user_id", &text(&client(call)["user_id"]))
                && call.created.as_second() >= after
        };
        // The list shows neither the numbers nor what was said about the client.
        let short = |call: &&FakeCall| {
            let mut shown = shown(call);
            let fields = shown.as_object_mut().unwrap();
            fields.retain(|name, _| !matches!(&**name, "metadata" | "user_id"));
            fields.remove("conversation_initiation_client_data");
            shown["start_time_unix_secs"] = call.created.as_second().into();
            shown
        };
        let found: Value = calls.iter().rev().filter(fits).map(short).collect();
        let body = json!({"conversations": found, "has_more": false, "next_cursor": null});
        Answer::new(200, body)
    }

    fn status(&self, call: &FakeCall) -> Answer {
        Answer::new(200, shown(call))
    }

    /// Only the end is reported: with the transcript, or as a call that did not start.
    fn reports(&self, call: &FakeCall, state: FakeState, url: &str) -> Vec<Report> {
        let FakeState::Ended(ending) = state else {
            return Vec::new();
        };
        let (kind, data) = match ending {
            FakeEnding::Completed => ("post_call_transcription", shown(call)),
            _ => {
                let reason = match ending {
                    FakeEnding::Busy => "busy",
                    FakeEnding::NoAnswer => "no-answer",
                    _ => "unknown",
                };
                let data = json!({
                    "agent_id": call.asked["agent_id"], "conversation_id": call.id,
                    "failure_reason": reason,
                    "metadata": {"type": "sip", "body": {"sip_status_code": ending.sip()}},
                });
                ("call_initiation_failure", data)
            }
        };
        let body = json!({"type": kind, "event_timestamp": now(), "data": data});
        vec![Report::json(url, &body)]
    }

    fn sign(&self, report: &Report, _: &FakeCall, keys: &Keys) -> Vec<(&'static str, String)> {
        let time = now();
        let tag = sha256_hex(&keys.signing, &format!("{time}.{}", report.body));
        vec![("elevenlabs-signature", format!("t={time},v0={tag}"))]
    }
}
