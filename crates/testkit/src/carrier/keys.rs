use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::KeyPair as _;

use super::{FakeKind, sign};

/// The key of an application that is nowhere: made for these tests.
const VONAGE: &str = include_str!("vonage.pem");

/// The credentials that a fake takes, and what it signs with.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The account, project, application or API key id; what stands in paths and before passwords.
    pub account: String,
    /// The token, API key, password or secret. For Vonage the application's private key in PEM (PKCS#8).
    pub secret: String,
    /// What reports are signed with. For Telnyx 32 bytes that its key pair is made of, for LiveKit not used: it
    /// signs with `secret`, as Twilio and Plivo do. For Bandwidth not used either: requests say what it shows.
    pub signing: String,
}

impl Keys {
    /// Those that a fake of this kind starts with.
    pub fn of(kind: FakeKind) -> Self {
        let name = format!("{kind:?}").to_lowercase();
        let account = match kind {
            FakeKind::Twilio => "AC00000000000000000000000000000001".to_owned(),
            FakeKind::Plivo => "MAXXXXXXXXXXXXXXXXX1".to_owned(),
            _ => format!("{name}-account"),
        };
        let secret = match kind {
            FakeKind::Vonage => VONAGE.to_owned(),
            _ => format!("{name}-secret-of-tests"),
        };
        let signing = match kind {
            FakeKind::Twilio | FakeKind::Plivo | FakeKind::LiveKit => secret.clone(),
            FakeKind::Telnyx => "telnyx-seed-of-tests-32-bytes-ok".to_owned(),
            _ => format!("{name}-signing-of-tests"),
        };
        Self {
            account,
            secret,
            signing,
        }
    }

    /// The public key in base64 of who signs by Ed25519: Telnyx.
    ///
    /// # Panics
    /// If `signing` has not 32 bytes.
    pub fn public_key(&self) -> String {
        STANDARD.encode(sign::ed25519(&self.signing).public_key())
    }
}
