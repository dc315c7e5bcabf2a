//! A number of things that every process on the bus shares, such as the calls that an account may have up. Each process
//! holds some of them for a while, and loses them when it is not heard.

use std::time::Duration;

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{
    Config, LastRawMessageErrorKind, RetentionPolicy, StorageType,
};
use prost::Message as _;
use ringdown_proto::v1::{Hold, Holds};

use crate::connection::DEADLINE;
use crate::{Bus, Error, now, subject};

/// Where the books are. In memory: after a restart of the server every holder enters itself again.
pub(crate) const STREAM: &str = "HOLDS";

/// Books are forgotten this long after they were last written.
const AGE: Duration = Duration::from_secs(60 * 60);

/// Tries to write before it is given up: others write at the same time.
const TRIES: u32 = 20;

pub(crate) fn config(replicas: usize) -> Config {
    Config {
        name: STREAM.to_owned(),
        subjects: vec![subject::HOLDS.to_owned()],
        retention: RetentionPolicy::Limits,
        storage: StorageType::Memory,
        max_age: AGE,
        max_messages_per_subject: 1,
        max_bytes: 64 * 1024 * 1024,
        num_replicas: replicas,
        ..Config::default()
    }
}

/// What the book says once `holder` holds as many as it can of what it wants. Pure.
fn entered(
    mut book: Holds,
    holder: &str,
    wanted: u32,
    limit: u32,
    now_us: i64,
    until_us: i64,
) -> (Holds, u32) {
    book.holds
        .retain(|hold| hold.until_us > now_us && hold.holder != holder && hold.count > 0);
    let others = book
        .holds
        .iter()
        .fold(0u32, |sum, hold| sum.saturating_add(hold.count));
    let count = wanted.min(limit.saturating_sub(others));
    if count > 0 {
        book.holds.push(Hold {
            holder: holder.to_owned(),
            count,
            until_us,
        });
    }
    (book, count)
}

impl Bus {
    /// Makes `holder` hold `wanted` of what there is `limit` of in this name, or fewer if others hold the rest, for the
    /// next `lease`. Returns how many it holds; asking again changes and renews it.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Publish`] if the server did not answer, or too many others wrote at the same time:
    /// what was held before is held until its lease ends.
    pub async fn hold(
        &self,
        name: &str,
        holder: &str,
        wanted: u32,
        limit: u32,
        lease: Duration,
    ) -> Result<u32, Error> {
        let subject = subject::hold(&subject::token(name));
        let failed = |reason: String| Error::Publish {
            subject: subject.clone(),
            reason,
        };
        for _ in 0..TRIES {
            let (sequence, book) = self.book(&subject).await?;
            let (now, until) = (now(), now().plus(lease));
            let (book, count) = entered(
                book,
                holder,
                wanted,
                limit,
                now.as_micros(),
                until.as_micros(),
            );
            let message = PublishMessage::build()
                .payload(book.encode_to_vec().into())
                .expected_last_subject_sequence(sequence);
            let sent = async {
                self.jetstream
                    .send_publish(subject.clone(), message)
                    .await?
                    .await
            };
            match tokio::time::timeout(DEADLINE, sent).await {
                Ok(Ok(_)) => return Ok(count),
                Ok(Err(error)) if error.kind() == PublishErrorKind::WrongLastSequence => {}
                Ok(Err(error)) => return Err(failed(error.to_string())),
                Err(_) => return Err(failed("not acknowledged in time".to_owned())),
            }
        }
        Err(failed("too many others write at the same time".to_owned()))
    }

    async fn book(&self, subject: &str) -> Result<(u64, Holds), Error> {
        let failed = |reason: String| Error::Read {
            what: subject.to_owned(),
            reason,
        };
        let stream = self
            .jetstream
            .get_stream_no_info(STREAM)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let read = stream.get_last_raw_message_by_subject(subject);
        match tokio::time::timeout(DEADLINE, read).await {
            Ok(Ok(message)) => match Holds::decode(message.payload) {
                Ok(book) => Ok((message.sequence, book)),
                Err(error) => Err(failed(error.to_string())),
            },
            Ok(Err(error)) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                Ok((0, Holds::default()))
            }
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed("the server did not answer in time".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_holds_what_others_hold_and_the_silent_hold_nothing() {
        let (book, count) = entered(Holds::default(), "a", 3, 5, 0, 100);
        assert_eq!(count, 3);
        let (book, count) = entered(book, "b", 4, 5, 10, 110);
        assert_eq!(count, 2);
        let (book, count) = entered(book, "a", 1, 5, 20, 120);
        assert_eq!(count, 1);
        let (book, count) = entered(book, "b", 9, 5, 30, 130);
        assert_eq!(count, 4);
        let (book, count) = entered(book, "c", 1, 5, 40, 140);
        assert_eq!(count, 0);
        // a was last heard at 20.
        let (book, count) = entered(book, "c", 2, 5, 121, 221);
        assert_eq!(count, 1);
        let (book, count) = entered(book, "b", 0, 5, 122, 222);
        assert_eq!((count, book.holds.len()), (0, 1));
    }
}
