//! What Ringdown is told of an account at a fake.

use serde_json::{Value, json};

use super::{FakeCarrier, FakeKind};

/// The name of an assistant, an application, a trunk or a number at a service: any will do.
const THING: &str = "thing-of-tests";

impl FakeCarrier {
    /// Settings and secrets of an account that calls through this fake and asks for reports, by their names in
    /// Ringdown's settings. Without `from_number`.
    pub fn account(&self) -> (Value, Vec<(&'static str, String)>) {
        let (account, secret) = (&self.keys().account, self.keys().secret.clone());
        let signing = self.keys().signing.clone();
        let answer = "https://agent.example/answer";
        let (mut fields, secrets) = match self.kind() {
            FakeKind::Twilio => (
                json!({"account_sid": account, "url": answer}),
                vec![("twilio_auth_token", secret)],
            ),
            FakeKind::SignalWire => (
                json!({"project_id": account, "url": answer}),
                vec![
                    ("signalwire_api_token", secret),
                    ("signalwire_signing_key", signing),
                ],
            ),
            FakeKind::Telnyx => {
                let key = self.keys().public_key();
                (
                    json!({"connection_id": THING, "assistant_id": THING, "public_key": key}),
                    vec![("telnyx_api_key", secret)],
                )
            }
            FakeKind::Plivo => (
                json!({"auth_id": account, "answer_url": answer}),
                vec![("plivo_auth_token", secret)],
            ),
            FakeKind::Vonage => (
                json!({"application_id": account, "answer_url": answer}),
                vec![
                    ("vonage_private_key", secret),
                    ("vonage_signature_secret", signing),
                ],
            ),
            FakeKind::Bandwidth => (
                json!({
                    "account_id": account, "username": account, "application_id": THING,
                    "answer_url": answer,
                }),
                vec![
                    ("bandwidth_password", secret),
                    ("bandwidth_webhook_password", signing),
                ],
            ),
            FakeKind::Vapi => (
                json!({
                    "assistant_id": THING, "phone_number_id": THING, "report_calls": true,
                    "callback_auth": "hmac",
                }),
                vec![("vapi_api_key", secret), ("vapi_webhook_secret", signing)],
            ),
            FakeKind::Retell => (
                json!({"agent_id": THING}),
                vec![("retell_api_key", secret), ("retell_webhook_key", signing)],
            ),
            FakeKind::ElevenLabs => (
                json!({"agent_id": THING, "phone_number_id": THING, "line": "twilio"}),
                vec![
                    ("elevenlabs_api_key", secret),
                    ("elevenlabs_webhook_secret", signing),
                ],
            ),
            FakeKind::Bland => (
                json!({"task": "call back"}),
                vec![("bland_api_key", secret), ("bland_webhook_secret", signing)],
            ),
            FakeKind::LiveKit => (
                json!({"sip_trunk_id": THING}),
                vec![
                    ("livekit_api_key", account.clone()),
                    ("livekit_api_secret", secret),
                ],
            ),
            FakeKind::Synthflow => (
                json!({"model_id": THING}),
                vec![("synthflow_api_key", secret)],
            ),
            FakeKind::TriggerUrl => (json!({}), vec![("trigger_secret", secret)]),
        };
        let address = match self.kind() {
            FakeKind::TriggerUrl => "trigger_url",
            _ => "base_url",
        };
        fields[address] = self.base_url().into();
        (fields, secrets)
    }
}
