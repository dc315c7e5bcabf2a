use ringdown_proto::v1::call_fact::Ended;
use ringdown_store::Extra;
use serde::{Deserialize, Serialize};

/// Name of the note of a run that holds a [`CallNote`].
pub const CALL_NOTE: &str = "call";

/// What the network made of a run's call, as the platform stores it beside what users write about the
/// run. Addresses are `ip:port`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CallNote {
    /// Encoding name of the codec, for example `PCMU`.
    pub codec: String,
    /// Where the INVITE came from.
    pub source: String,
    /// Its Contact header as it was sent.
    pub contact: String,
    /// Where the caller's session description wants audio.
    pub media_described: String,
    /// Where the caller's audio came from; empty if none came.
    pub media_seen: String,
    /// RTP packets sent to the caller.
    pub packets_sent: u64,
    /// RTP packets received from it.
    pub packets_received: u64,
    /// RTP packets that it sent and that never arrived.
    pub packets_lost: u64,
}

impl CallNote {
    /// The note of a call that has ended; `None` if it was not answered.
    pub(crate) fn of(ended: &Ended) -> Option<Extra> {
        let path = ended.path.clone()?;
        let media = ended.media.unwrap_or_default();
        let note = Self {
            codec: path.codec,
            source: path.source,
            contact: path.contact,
            media_described: path.media_described,
            media_seen: path.media_seen,
            packets_sent: media.packets_sent,
            packets_received: media.packets_received,
            packets_lost: media.packets_lost,
        };
        // Texts and numbers are always JSON.
        let note = serde_json::to_value(note).ok()?;
        Some(Extra::from_iter([(CALL_NOTE.to_owned(), note)]))
    }
}
