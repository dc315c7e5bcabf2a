use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ringdown_bus::LeaseTimes;

use crate::script::Timing;
use crate::{Error, Network, Trunk};

/// How speech of the agent is told from silence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detector {
    /// By level: cheap, hears test tones too, right for clean lines, wrong in noise.
    #[default]
    Level,
    /// By a small neural network behind a level gate: right in noise, deaf to tones, about 1,300
    /// talking calls per core.
    Speech,
}

/// How to run the testing agent.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen for SIP over UDP. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The address callers reach this machine at, if it is not the one listened on.
    pub advertised_ip: Option<IpAddr>,
    /// Where calls may come from; everyone else hears nothing. The first one whose networks hold the
    /// address of a call is that call's.
    pub trunks: Vec<Trunk>,
    /// Calls taken at once, from the INVITE to the end; at least 1. More are refused as busy.
    pub max_calls: usize,
    /// Folder for recordings in progress; created if missing. Several testing agents may share it.
    pub folder: PathBuf,
    /// When the testing agent speaks.
    pub timing: Timing,
    /// How it hears the agent.
    pub detector: Detector,
    /// How often it says that it lives; the platform has to know the same times.
    pub leases: LeaseTimes,
}

impl Options {
    /// The defaults: calls from loopback only, 2,000 at once.
    pub fn new(listen: SocketAddr, folder: impl Into<PathBuf>) -> Self {
        Self {
            listen,
            advertised_ip: None,
            trunks: vec![Trunk::trusted(vec![
                Network::LOOPBACK_V4,
                Network::LOOPBACK_V6,
            ])],
            max_calls: 2_000,
            folder: folder.into(),
            timing: Timing::default(),
            detector: Detector::default(),
            leases: LeaseTimes::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.max_calls == 0 {
            return Err(Error::Options(
                "max_calls is 0; allow at least 1".to_owned(),
            ));
        }
        if self.trunks.iter().all(|trunk| trunk.networks.is_empty()) {
            return Err(Error::Options(
                "no network is trusted, so no call could be answered; list the trunk's networks"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}
