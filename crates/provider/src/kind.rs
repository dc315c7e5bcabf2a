use std::sync::Arc;

use crate::{
    Bandwidth, Bland, ElevenLabs, InvalidSettings, LiveKit, Plivo, Provider, Retell, Settings,
    SignalWire, Synthflow, Telnyx, TriggerUrl, Twilio, Vapi, Vonage,
};

/// The providers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// [`Bandwidth`].
    Bandwidth,
    /// [`Bland`].
    Bland,
    /// [`ElevenLabs`].
    ElevenLabs,
    /// [`LiveKit`].
    LiveKit,
    /// [`Plivo`].
    Plivo,
    /// [`Retell`].
    Retell,
    /// [`SignalWire`].
    SignalWire,
    /// [`Synthflow`].
    Synthflow,
    /// [`Telnyx`].
    Telnyx,
    /// [`TriggerUrl`].
    TriggerUrl,
    /// [`Twilio`].
    Twilio,
    /// [`Vapi`].
    Vapi,
    /// [`Vonage`].
    Vonage,
}

impl Kind {
    /// Every kind, by name.
    pub const ALL: [Self; 13] = [
        Self::Bandwidth,
        Self::Bland,
        Self::ElevenLabs,
        Self::LiveKit,
        Self::Plivo,
        Self::Retell,
        Self::SignalWire,
        Self::Synthflow,
        Self::Telnyx,
        Self::TriggerUrl,
        Self::Twilio,
        Self::Vapi,
        Self::Vonage,
    ];

    /// Its name in settings, the same as [`Provider::name`] of what [`build`] makes of it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bandwidth => "bandwidth",
            Self::Bland => "bland",
            Self::ElevenLabs => "elevenlabs",
            Self::LiveKit => "livekit",
            Self::Plivo => "plivo",
            Self::Retell => "retell",
            Self::SignalWire => "signalwire",
            Self::Synthflow => "synthflow",
            Self::Telnyx => "telnyx",
            Self::TriggerUrl => "trigger_url",
            Self::Twilio => "twilio",
            Self::Vapi => "vapi",
            Self::Vonage => "vonage",
        }
    }

    /// The kind of this name; `None` if there is none.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The secrets that its account may have. Which of them it needs depends on its settings.
    pub const fn secrets(self) -> &'static [&'static str] {
        match self {
            Self::Bandwidth => &["bandwidth_password", "bandwidth_webhook_password"],
            Self::Bland => &[
                "bland_api_key",
                "bland_encrypted_key",
                "bland_webhook_secret",
            ],
            Self::ElevenLabs => &["elevenlabs_api_key", "elevenlabs_webhook_secret"],
            Self::LiveKit => &["livekit_api_key", "livekit_api_secret"],
            Self::Plivo => &["plivo_auth_token"],
            Self::Retell => &["retell_api_key", "retell_webhook_key"],
            Self::SignalWire => &["signalwire_api_token", "signalwire_signing_key"],
            Self::Synthflow => &["synthflow_api_key"],
            Self::Telnyx => &["telnyx_api_key"],
            Self::TriggerUrl => &["trigger_secret"],
            Self::Twilio => &["twilio_auth_token", "twilio_shared_key"],
            Self::Vapi => &["vapi_api_key", "vapi_webhook_secret"],
            Self::Vonage => &["vonage_private_key", "vonage_signature_secret"],
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An account of this kind with these settings.
///
/// # Errors
/// [`InvalidSettings`] names the setting or the secret that is missing, wrong or unknown.
pub fn build(kind: Kind, settings: Settings) -> Result<Arc<dyn Provider>, InvalidSettings> {
    fn shared<P: Provider>(provider: P) -> Arc<dyn Provider> {
        Arc::new(provider)
    }
    match kind {
        Kind::Bandwidth => Bandwidth::new(settings).map(shared),
        Kind::Bland => Bland::new(settings).map(shared),
        Kind::ElevenLabs => ElevenLabs::new(settings).map(shared),
        Kind::LiveKit => LiveKit::new(settings).map(shared),
        Kind::Plivo => Plivo::new(settings).map(shared),
        Kind::Retell => Retell::new(settings).map(shared),
        Kind::SignalWire => SignalWire::new(settings).map(shared),
        Kind::Synthflow => Synthflow::new(settings).map(shared),
        Kind::Telnyx => Telnyx::new(settings).map(shared),
        Kind::TriggerUrl => TriggerUrl::new(settings).map(shared),
        Kind::Twilio => Twilio::new(settings).map(shared),
        Kind::Vapi => Vapi::new(settings).map(shared),
        Kind::Vonage => Vonage::new(settings).map(shared),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::Order;
    use crate::testing::{SECRET, order, settings_with};

    const URL: &str = "https://agent.example/answer";

    /// What every account of this kind has to have, besides secrets.
    fn needed(kind: Kind) -> Value {
        match kind {
            Kind::Bandwidth => json!({
                "account_id": "1", "username": "u", "application_id": "a", "answer_url": URL,
            }),
            Kind::Bland => json!({"task": "Say hello."}),
            Kind::ElevenLabs => json!({"line": "sip", "agent_id": "a", "phone_number_id": "p"}),
            Kind::LiveKit => json!({"base_url": URL, "sip_trunk_id": "ST_1"}),
            Kind::Plivo => json!({"auth_id": "MA1", "answer_url": URL}),
            Kind::Retell => json!({}),
            Kind::SignalWire => json!({"space": "example", "project_id": "p", "url": URL}),
            Kind::Synthflow => json!({"model_id": "m"}),
            Kind::Telnyx => json!({"connection_id": "c"}),
            Kind::TriggerUrl => json!({"trigger_url": URL}),
            Kind::Twilio => json!({"account_sid": "AC1", "url": URL}),
            Kind::Vapi => json!({"assistant_id": "a", "phone_number_id": "p"}),
            Kind::Vonage => json!({"application_id": "a", "answer_url": URL}),
        }
    }

    /// The secrets without which there is no account.
    fn needed_secrets(kind: Kind) -> Vec<&'static str> {
        let optional = [
            "bandwidth_webhook_password",
            "bland_encrypted_key",
            "bland_webhook_secret",
            "elevenlabs_webhook_secret",
            "retell_webhook_key",
            "signalwire_signing_key",
            "trigger_secret",
            "twilio_shared_key",
            "vapi_webhook_secret",
            "vonage_signature_secret",
        ];
        let secrets = kind.secrets().iter().copied();
        secrets.filter(|name| !optional.contains(name)).collect()
    }

    fn made(
        kind: Kind,
        fields: Value,
        secrets: &[&str],
    ) -> Result<Arc<dyn Provider>, InvalidSettings> {
        let value = |name: &str| match name {
            "vonage_private_key" => include_str!("testdata/rsa_pkcs8.pem"),
            _ => SECRET,
        };
        let secrets: Vec<_> = secrets.iter().map(|name| (*name, value(name))).collect();
        build(kind, settings_with(fields, &secrets))
    }

    fn built(kind: Kind, fields: Value, secrets: &[&str]) -> Result<String, InvalidSettings> {
        Ok(made(kind, fields, secrets)?.name().to_owned())
    }

    #[test]
    fn an_order_fits_if_the_least_time_to_ring_is_left_and_no_less() {
        for kind in Kind::ALL {
            let provider = made(kind, needed(kind), &needed_secrets(kind)).unwrap();
            let least = provider.habits().least_ring;
            let left = |ring: Duration| {
                let closes_at = order().asked_at().plus(ring);
                provider.request(&Order {
                    ring,
                    closes_at,
                    ..order()
                })
            };
            assert!(left(least).is_ok(), "{kind}: {least:?}");
            assert!(left(least + Duration::from_secs(600)).is_ok(), "{kind}");
            for less in [1, 1000].map(Duration::from_millis) {
                if let Some(less) = least.checked_sub(less) {
                    let unfit = left(less).unwrap_err();
                    assert!(unfit.0.contains("left to ring"), "{kind}: {unfit}");
                }
            }
        }
        let least = |kind: Kind| {
            let provider = made(kind, needed(kind), &needed_secrets(kind)).unwrap();
            provider.habits().least_ring.as_secs()
        };
        assert_eq!((least(Kind::Telnyx), least(Kind::Twilio)), (5, 6));
        assert_eq!((least(Kind::Vapi), least(Kind::Plivo)), (0, 1));
    }

    #[test]
    fn every_kind_is_built_from_what_it_needs_and_goes_by_its_name() {
        for kind in Kind::ALL {
            let name = built(kind, needed(kind), &needed_secrets(kind)).unwrap();
            assert_eq!(name, kind.as_str());
            assert_eq!(Kind::parse(&name), Some(kind));
            assert_eq!(kind.to_string(), name);
        }
        let names = Kind::ALL.map(Kind::as_str);
        assert!(names.is_sorted());
        for other in ["", "Twilio", "elastic_sip"] {
            assert_eq!(Kind::parse(other), None);
        }
    }

    #[test]
    fn a_forgotten_setting_or_secret_is_named() {
        for kind in Kind::ALL {
            let secrets = needed_secrets(kind);
            for forgotten in &secrets {
                let others: Vec<_> = secrets.iter().filter(|name| *name != forgotten).collect();
                let others: Vec<_> = others.into_iter().copied().collect();
                let refused = built(kind, needed(kind), &others).unwrap_err();
                assert_eq!(refused.field, *forgotten);
            }
            for forgotten in needed(kind).as_object().unwrap().keys() {
                let mut fields = needed(kind);
                fields.as_object_mut().unwrap().remove(forgotten);
                let refused = built(kind, fields, &secrets).unwrap_err();
                assert_eq!(refused.field, *forgotten, "{kind}: {refused}");
            }
        }
    }

    #[test]
    fn the_secrets_of_a_kind_are_those_it_reads() {
        for kind in Kind::ALL {
            let mut fields = needed(kind);
            if kind == Kind::Vapi {
                fields["callback_auth"] = "bearer".into();
            }
            // A secret that nobody takes is refused.
            built(kind, fields, kind.secrets()).unwrap();
            for other in Kind::ALL.into_iter().filter(|other| *other != kind) {
                let foreign = other.secrets()[0];
                let all = [&needed_secrets(kind)[..], &[foreign]].concat();
                let refused = built(kind, needed(kind), &all).unwrap_err();
                assert_eq!(refused.field, foreign);
            }
        }
        // And what a module reads is in its list.
        for (kind, source) in [
            (Kind::Bandwidth, include_str!("bandwidth.rs")),
            (Kind::Bland, include_str!("bland.rs")),
            (Kind::ElevenLabs, include_str!("elevenlabs.rs")),
            (Kind::LiveKit, include_str!("livekit.rs")),
            (Kind::Plivo, include_str!("plivo.rs")),
            (Kind::Retell, include_str!("retell.rs")),
            (Kind::SignalWire, include_str!("signalwire.rs")),
            (Kind::Synthflow, include_str!("synthflow.rs")),
            (Kind::Telnyx, include_str!("telnyx.rs")),
            (Kind::TriggerUrl, include_str!("trigger_url.rs")),
            (Kind::Twilio, include_str!("twilio.rs")),
            (Kind::Vapi, include_str!("vapi.rs")),
            (Kind::Vapi, include_str!("vapi/proof.rs")),
            (Kind::Vonage, include_str!("vonage.rs")),
        ] {
            for call in ["secret(\"", "credential(\""] {
                for rest in source.split(call).skip(1) {
                    let name = rest.split('"').next().unwrap();
                    assert!(kind.secrets().contains(&name), "{kind}: {name}");
                }
            }
        }
    }
}
