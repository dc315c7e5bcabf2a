//! Tests of the session descriptions, kept beside the code they test.

use proptest::prelude::*;

use super::*;

const OFFER: &str = "v=0\r\no=user1 53655765 2353687637 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\
    m=audio 6000 RTP/AVP 18 8 0 96\r\na=rtpmap:18 G729/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-15\r\n";

fn local() -> Local {
    Local::new("198.51.100.1:40000".parse().unwrap())
}

fn parse(text: &str) -> Description {
    Description::parse(text.as_bytes()).unwrap()
}

#[test]
fn the_callers_order_of_codecs_decides() {
    let (answer, agreed) = local().answer(&parse(OFFER)).unwrap();
    assert_eq!(agreed.codec, Codec::Pcma);
    assert_eq!(agreed.payload_type, 8);
    assert_eq!(agreed.telephone_event, Some(96));
    assert_eq!(agreed.remote, "192.0.2.9:6000".parse().unwrap());
    assert!(agreed.may_send);
    assert!(
        answer.contains("m=audio 40000 RTP/AVP 8 96\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains("a=rtpmap:96 telephone-event/8000\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with("a=sendrecv\r\n"), "{answer}");
}

#[test]
fn our_offer_is_answered_by_ourselves() {
    let mut caller = local();
    let offer = parse(&caller.offer());
    let mut callee = Local::new("[2001:db8::1]:41000".parse().unwrap());
    let (answer, heard) = callee.answer(&offer).unwrap();
    assert_eq!(heard.codec, Codec::Pcmu);
    assert_eq!(heard.telephone_event, Some(101));
    let agreed = caller.accept(&parse(&answer)).unwrap();
    assert_eq!(agreed.remote, "[2001:db8::1]:41000".parse().unwrap());
    assert_eq!(agreed.codec, heard.codec);
}

#[test]
fn static_types_need_no_map_and_a_map_overrides_them() {
    let plain = "v=0\nc=IN IP4 192.0.2.9\nm=audio 6000 RTP/AVP 0\n";
    assert_eq!(local().answer(&parse(plain)).unwrap().1.codec, Codec::Pcmu);
    let moved = "v=0\nc=IN IP4 192.0.2.9\nm=audio 6000 RTP/AVP 0 97\na=rtpmap:0 X-OTHER/8000\na=rtpmap:97 pcma/8000\n";
    let agreed = local().answer(&parse(moved)).unwrap().1;
    assert_eq!((agreed.codec, agreed.payload_type), (Codec::Pcma, 97));
}

#[test]
fn hold_is_understood_in_all_its_spellings() {
    for (line, answered) in [
        ("a=sendonly\r\n", "a=recvonly"),
        ("a=inactive\r\n", "a=inactive"),
        ("c=IN IP4 0.0.0.0\r\n", "a=sendrecv"),
    ] {
        let (answer, agreed) = local().answer(&parse(&format!("{OFFER}{line}"))).unwrap();
        assert!(!agreed.may_send, "{line}");
        assert!(answer.contains(answered), "{line} gave {answer}");
    }
    let session_level = OFFER.replace("t=0 0\r\n", "t=0 0\r\na=inactive\r\n");
    assert!(!local().answer(&parse(&session_level)).unwrap().1.may_send);
    let listening = local()
        .answer(&parse(&format!("{OFFER}a=recvonly\r\n")))
        .unwrap();
    assert!(listening.1.may_send);
}

#[test]
fn other_streams_are_refused_in_place() {
    let two = format!(
        "v=0\r\nc=IN IP4 192.0.2.9\r\nm=video 7000 RTP/AVP 96\r\n{}",
        &OFFER[OFFER.find("m=").unwrap()..]
    );
    let (answer, _) = local().answer(&parse(&two)).unwrap();
    let media: Vec<&str> = answer
        .lines()
        .filter(|line| line.starts_with("m="))
        .collect();
    assert_eq!(
        media,
        ["m=video 0 RTP/AVP 96", "m=audio 40000 RTP/AVP 8 96"]
    );
}

#[test]
fn what_cannot_work_is_refused_with_its_reason() {
    for (sdp, expected) in [
        (
            "v=0\nc=IN IP4 192.0.2.9\nm=audio 6000 RTP/SAVP 0\n",
            Error::NoAudio,
        ),
        (
            "v=0\nc=IN IP4 192.0.2.9\nm=audio 0 RTP/AVP 0\n",
            Error::NoAudio,
        ),
        (
            "v=0\nc=IN IP4 192.0.2.9\nm=audio 6000 RTP/AVP 9 18\n",
            Error::NoCommonCodec,
        ),
        ("v=0\nm=audio 6000 RTP/AVP 0\n", Error::NoAddress),
        (
            "v=0\nc=IN IP4 host.example\nm=audio 6000 RTP/AVP 0\n",
            Error::NoAddress,
        ),
        (
            "v=0\nc=IN IP4 224.2.1.1/127\nm=audio 6000 RTP/AVP 0\n",
            Error::NoAddress,
        ),
        ("v=0\n", Error::NoAudio),
    ] {
        assert_eq!(local().answer(&parse(sdp)).unwrap_err(), expected, "{sdp}");
    }
    for bad in [
        "",
        "v=1\n",
        "v=0\nnonsense\n",
        "v=0\nm=audio\n",
        "v=0\nm=audio 70000 RTP/AVP 0\n",
        "v=0\nc=IN IP4\n",
    ] {
        assert!(
            matches!(Description::parse(bad.as_bytes()), Err(Error::Malformed(_))),
            "{bad}"
        );
    }
    assert!(Description::parse(&vec![b'v'; MAX_OCTETS + 1]).is_err());
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("c=IN IP4 192.0.2.1".to_owned()),
        Just("c=IN IP6 2001:db8::7".to_owned()),
        Just("a=sendonly".to_owned()),
        "m=(audio|video) [0-9]{1,6}(/[0-9])? RTP/S?AVP( [0-9]{1,3}){0,4}",
        "a=rtpmap:[0-9]{1,3} (PCMU|PCMA|opus|telephone-event)/[0-9]{1,6}",
        "[a-z]=\\PC{0,20}",
        "\\PC{0,20}",
    ]
}

proptest! {
    #[test]
    fn any_octets_are_survived(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Description::parse(&octets);
        let mut framed = b"v=0\r\n".to_vec();
        framed.extend_from_slice(&octets);
        let _ = Description::parse(&framed);
    }

    #[test]
    fn every_answer_is_itself_readable_and_matches_the_offer(lines in proptest::collection::vec(line(), 0..12)) {
        let text = format!("v=0\r\n{}\r\n", lines.join("\r\n"));
        if let Ok(offer) = Description::parse(text.as_bytes())
            && let Ok((answer, agreed)) = local().answer(&offer)
        {
            let answer = Description::parse(answer.as_bytes()).unwrap();
            prop_assert_eq!(answer.streams.len(), offer.streams.len());
            let used: Vec<&Stream> = answer.streams.iter().filter(|stream| stream.port != 0).collect();
            prop_assert_eq!(used.len(), 1);
            prop_assert_eq!(used[0].payload_types().next(), Some(agreed.payload_type));
        }
    }
}
