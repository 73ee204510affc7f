//! How often someone may ask. A bucket for each caller holds so many requests and fills again as time
//! passes; there are never more than some thousand buckets.

use jiff::Timestamp;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Caller {
    /// A program, by the number of its token.
    Program(i64),
    /// Someone at an address who has no token that holds.
    Stranger(IpAddr),
    /// Someone at an address who asks for a link to sign in.
    SignIn(IpAddr),
}

impl Caller {
    pub(super) fn stranger(peer: IpAddr) -> Self {
        Self::Stranger(network(peer))
    }

    pub(super) fn sign_in(peer: IpAddr) -> Self {
        Self::SignIn(network(peer))
    }

    /// How many requests its bucket holds, and how many seconds one more takes.
    fn rate(self) -> (f64, f64) {
        match self {
            Self::Program(_) => (100.0, 0.05),
            Self::Stranger(_) | Self::SignIn(_) => (10.0, 6.0),
        }
    }
}

/// An address, or the network that one household of IPv6 has whole.
fn network(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

/// The most buckets that are kept.
const KEPT: usize = 4_096;

/// What each caller has left, and when it last asked.
#[derive(Default)]
pub(super) struct Limits(Mutex<HashMap<Caller, (f64, Timestamp)>>);

impl Limits {
    /// Takes one request from a caller's bucket; if that is empty, says for how many seconds it is.
    pub(super) fn take(&self, caller: Caller, now: Timestamp) -> Result<(), u16> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT && !kept.contains_key(&caller) {
            let oldest = kept.iter().min_by_key(|(_, (_, at))| *at);
            if let Some(oldest) = oldest.map(|(caller, _)| *caller) {
                kept.remove(&oldest);
            }
        }
        let (holds, each) = caller.rate();
        let (left, at) = kept.entry(caller).or_insert((holds, now));
        let passed = now.duration_since(*at).as_secs_f64().max(0.0);
        *left = (*left + passed / each).min(holds);
        *at = now;
        if *left >= 1.0 {
            *left -= 1.0;
            return Ok(());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to 6"
        )]
        let wait = ((1.0 - *left) * each).ceil() as u16;
        Err(wait.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn after(millis: i64) -> Timestamp {
        NOW + SignedDuration::from_millis(millis)
    }

    fn taken(limits: &Limits, caller: Caller, now: Timestamp) -> usize {
        (0..1_000)
            .take_while(|_| limits.take(caller, now).is_ok())
            .count()
    }

    #[test]
    fn a_bucket_is_emptied_and_fills_again() {
        let limits = Limits::default();
        let (ours, theirs) = (Caller::Program(1), Caller::Program(2));
        assert_eq!(taken(&limits, ours, NOW), 100);
        assert_eq!(limits.take(ours, NOW), Err(1));
        assert_eq!(taken(&limits, theirs, NOW), 100);
        assert_eq!(taken(&limits, ours, after(1_000)), 20);
        assert_eq!(taken(&limits, ours, after(3_600_000)), 100);
        // A clock that is set back fills nothing, and takes nothing away.
        assert_eq!(taken(&limits, ours, NOW), 0);
        assert_eq!(taken(&limits, ours, after(1_000)), 20);
    }

    #[test]
    fn a_stranger_has_ten_a_minute_from_her_whole_network() {
        let limits = Limits::default();
        let at = |address: &str| address.parse().unwrap();
        let (here, beside) = (at("2001:db8::1"), at("2001:db8::ffff:2"));
        assert_eq!(taken(&limits, Caller::stranger(here), NOW), 10);
        assert_eq!(limits.take(Caller::stranger(beside), NOW), Err(6));
        assert_eq!(limits.take(Caller::stranger(beside), after(2_500)), Err(4));
        assert_eq!(taken(&limits, Caller::stranger(beside), after(60_000)), 10);
        assert_eq!(taken(&limits, Caller::sign_in(here), NOW), 10);
        let elsewhere = Caller::stranger(at("2001:db8:0:1::1"));
        assert_eq!(taken(&limits, elsewhere, NOW), 10);
    }

    #[test]
    fn the_oldest_bucket_makes_room() {
        let limits = Limits::default();
        for n in 0..3 * KEPT {
            let millis = i64::try_from(n).unwrap();
            limits.take(Caller::Program(millis), after(millis)).unwrap();
        }
        let kept = limits.0.lock().unwrap();
        assert_eq!(kept.len(), KEPT);
        let first = i64::try_from(2 * KEPT).unwrap();
        assert!(kept.contains_key(&Caller::Program(first)));
        assert!(!kept.contains_key(&Caller::Program(first - 1)));
    }
}
