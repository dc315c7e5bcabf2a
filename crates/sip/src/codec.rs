//! G.711, the two laws every trunk speaks (RFC 3551 section 4.5.14).

use audio_codec::{Decoder, Encoder, pcma, pcmu};

/// A codec this user agent sends and understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// G.711 mu-law, static payload type 0.
    Pcmu,
    /// G.711 A-law, static payload type 8.
    Pcma,
}

impl Codec {
    /// The codecs in the order in which we offer them.
    pub const OFFERED: [Self; 2] = [Self::Pcmu, Self::Pcma];

    /// The static payload type of RFC 3551 table 4.
    #[must_use]
    pub fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    /// The encoding name of an `a=rtpmap` attribute.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// The codec with this encoding name (case does not matter) and clock rate in Hz.
    #[must_use]
    pub fn from_name(name: &str, clock_rate: u32) -> Option<Self> {
        Self::OFFERED
            .into_iter()
            .find(|codec| clock_rate == 8_000 && name.eq_ignore_ascii_case(codec.name()))
    }

    /// The codec a payload type means when no `a=rtpmap` says otherwise.
    #[must_use]
    pub fn from_static(payload_type: u8) -> Option<Self> {
        Self::OFFERED
            .into_iter()
            .find(|codec| codec.payload_type() == payload_type)
    }

    /// Appends one octet per sample to `out`.
    pub(crate) fn encode(self, samples: &[i16], out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + samples.len(), 0);
        let Some(tail) = out.get_mut(start..) else {
            return;
        };
        // G.711 writes exactly one octet per sample, so the only error (too small) cannot happen.
        let _ = match self {
            Self::Pcmu => pcmu::PcmuEncoder::new().encode_into(samples, tail),
            Self::Pcma => pcma::PcmaEncoder::new().encode_into(samples, tail),
        };
    }

    /// Appends one sample per octet to `out`.
    pub(crate) fn decode(self, payload: &[u8], out: &mut Vec<i16>) {
        let start = out.len();
        out.resize(start + payload.len(), 0);
        let Some(tail) = out.get_mut(start..) else {
            return;
        };
        let _ = match self {
            Self::Pcmu => pcmu::PcmuDecoder::new().decode_into(payload, tail),
            Self::Pcma => pcma::PcmaDecoder::new().decode_into(payload, tail),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_laws_keep_a_ramp_within_their_quantisation_step() {
        let ramp: Vec<i16> = (-32_000..32_000).step_by(37).collect();
        for codec in Codec::OFFERED {
            let mut wire = Vec::new();
            codec.encode(&ramp, &mut wire);
            assert_eq!(wire.len(), ramp.len());
            let mut heard = Vec::new();
            codec.decode(&wire, &mut heard);
            for (sent, got) in ramp.iter().zip(&heard) {
                let error = (i32::from(*sent) - i32::from(*got)).abs();
                let allowed = i32::from(sent.unsigned_abs() / 16) + 64;
                assert!(error <= allowed, "{codec:?}: {sent} became {got}");
            }
        }
    }

    #[test]
    fn digital_silence_survives() {
        for codec in Codec::OFFERED {
            let mut wire = Vec::new();
            codec.encode(&[0; 160], &mut wire);
            let mut heard = Vec::new();
            codec.decode(&wire, &mut heard);
            assert!(heard.iter().all(|s| s.abs() <= 8), "{codec:?}");
        }
    }
}
