//! Against SIPp, an implementation that is not ours.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use ringdown_sip::{Credentials, DialError, EndedBy, MediaOptions};
use tokio::process::{Child, Command};

use crate::support::*;

/// SIPp in `folder`, killed with its handle.
fn sipp(folder: &Path, arguments: &[&str]) -> Child {
    Command::new("sipp")
        .args(arguments)
        .args([
            "-i",
            "127.0.0.1",
            "-nostdin",
            "-timeout",
            "30s",
            "-timeout_error",
            "-trace_err",
        ])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| {
            panic!("sipp: {error}; install it with: apt-get install sip-tester")
        })
}

async fn succeeds(child: Child, folder: &Path) {
    let output = soon("the end of sipp", child.wait_with_output())
        .await
        .unwrap();
    let mut errors = String::from_utf8_lossy(&output.stderr).into_owned();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            errors.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    assert!(output.status.success(), "sipp: {}\n{errors}", output.status);
}

/// A UDP port that was free a moment ago, for a server that cannot be asked which one it took.
fn free_port() -> u16 {
    std::net::UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_uac_is_answered_although_it_sends_no_audio() {
    let folder = tempfile::tempdir().unwrap();
    let (endpoint, mut incoming) = endpoint().await;
    let target = endpoint.local_addr().to_string();
    let child = sipp(
        folder.path(),
        &[
            "-sn",
            "uac",
            &target,
            "-s",
            "+15550199",
            "-m",
            "5",
            "-r",
            "10",
            "-d",
            "500",
        ],
    );
    let mut calls = Vec::new();
    for _ in 0..5 {
        let call = soon("a call from sipp", incoming.next()).await.unwrap();
        assert_eq!(call.from_user(), Some("sipp"));
        assert_eq!(call.to_user(), Some("+15550199"));
        call.ring().await.unwrap();
        calls.push(call.answer(MediaOptions::default()).await.unwrap());
    }
    for call in calls {
        let ended = soon("the BYE of sipp", call.ended()).await;
        assert_eq!(ended.by, EndedBy::Remote);
        assert!(ended.duration >= Duration::from_millis(400), "{ended:?}");
        assert!(ended.media.packets_sent > 10);
        assert_eq!(ended.media.first_rx, None);
    }
    succeeds(child, folder.path()).await;
    assert_eq!(endpoint.stats().live_calls, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_uas_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let (endpoint, _) = endpoint().await;
    let port = free_port();
    let child = sipp(
        folder.path(),
        &["-sn", "uas", "-p", &port.to_string(), "-m", "1"],
    );
    let mut request = request(([127, 0, 0, 1], port).into());
    request.ring_timeout = Duration::from_secs(15);
    let call = soon("the answer", endpoint.dial(request)).await.unwrap();
    for _ in 0..10 {
        call.media().next_frame().await.unwrap();
    }
    assert_eq!(soon("the end", call.hang_up()).await.by, EndedBy::Local);
    succeeds(child, folder.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_noticed_and_ends_the_call_where_that_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let (endpoint, mut incoming) = endpoint().await;
    let target = endpoint.local_addr().to_string();
    let _child = sipp(
        folder.path(),
        &["-sn", "uac", &target, "-m", "1", "-d", "20000"],
    );
    let call = soon("a call from sipp", incoming.next()).await.unwrap();
    let options = MediaOptions {
        media_timeout: Duration::from_millis(400),
        end_on_media_timeout: true,
        ..MediaOptions::default()
    };
    let ended = soon("the end", call.answer(options).await.unwrap().ended()).await;
    assert_eq!(ended.by, EndedBy::Media);
    assert!(ended.media.timed_out);
    assert!(ended.duration >= Duration::from_millis(380), "{ended:?}");
}

/// A callee that challenges, checks what it is answered with, and takes the call or refuses it.
///
/// SIPp can compute the digest for `Authorization` only. For `Proxy-Authorization` the form is checked; the
/// computation is the same.
fn challenging(status: &str, header: &str, credential: &str) -> String {
    let common = "[last_Via:]\n[last_From:]\n[last_To:];tag=[pid]t[call_number]\n[last_Call-ID:]\n[last_CSeq:]";
    let form = r#"Digest username=.agent., realm=.example.com., nonce=.47364c23., uri=.sip:[^ ]+, response=.[0-9a-f]{32}."#;
    let (verify, verdict) = match credential {
        "Authorization" => (
            r#"<verifyauth assign_to="2" username="agent" password="secret"/>"#,
            r#"test="2""#,
        ),
        _ => ("", ""),
    };
    format!(
        r#"<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="challenge">
  <recv request="INVITE" crlf="true"/>
  <send><![CDATA[
SIP/2.0 {status}
{common}
{header}: Digest realm="example.com", nonce="47364c23", qop="auth", algorithm=MD5
Content-Length: 0

]]></send>
  <recv request="ACK"/>
  <recv request="INVITE">
    <action>
      <ereg regexp="{form}" search_in="hdr" header="{credential}:" check_it="true" assign_to="1"/>
      {verify}
    </action>
  </recv>
  <nop hide="true" {verdict} next="good"/>
  <send><![CDATA[
SIP/2.0 403 Forbidden
{common}
Content-Length: 0

]]></send>
  <recv request="ACK" next="end"/>
  <label id="good"/>
  <send retrans="500"><![CDATA[
SIP/2.0 200 OK
{common}
Contact: <sip:[local_ip]:[local_port];transport=[transport]>
Content-Type: application/sdp
Content-Length: [len]

v=0
o=user1 53655765 2353687637 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000

]]></send>
  <recv request="ACK"/>
  <recv request="BYE"/>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
  <label id="end"/>
  <Reference variables="1"/>
</scenario>
"#
    )
}

/// Dials a challenging callee with this password.
async fn is_challenged(
    status: &str,
    header: &str,
    credential: &str,
    password: &str,
) -> Result<(), DialError> {
    let folder = tempfile::tempdir().unwrap();
    let scenario = challenging(status, header, credential);
    std::fs::write(folder.path().join("uas.xml"), scenario).unwrap();
    let (endpoint, _) = endpoint().await;
    let port = free_port();
    let child = sipp(
        folder.path(),
        &["-sf", "uas.xml", "-p", &port.to_string(), "-m", "1"],
    );
    let mut request = request(([127, 0, 0, 1], port).into());
    request.credentials = Some(Credentials {
        username: "agent".to_owned(),
        password: password.to_owned(),
    });
    let outcome = match soon("the outcome", endpoint.dial(request)).await {
        Ok(call) => {
            soon("the end", call.hang_up()).await;
            Ok(())
        }
        Err(error) => Err(error),
    };
    succeeds(child, folder.path()).await;
    outcome
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_401_is_answered_with_a_digest() {
    let challenge = ["401 Unauthorized", "WWW-Authenticate", "Authorization"];
    let [status, header, credential] = challenge;
    is_challenged(status, header, credential, "secret")
        .await
        .unwrap();
    let refused = is_challenged(status, header, credential, "wrong").await;
    assert!(
        matches!(refused, Err(DialError::Refused { status: 403, .. })),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_407_is_answered_with_a_digest() {
    let (status, header) = ("407 Proxy Authentication Required", "Proxy-Authenticate");
    is_challenged(status, header, "Proxy-Authorization", "secret")
        .await
        .unwrap();
}

/// A caller that offers nothing at first, then puts us on hold and takes us back.
const LATE_OFFER_AND_HOLD: &str = r#"<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="late offer and hold">
  <send retrans="500"><![CDATA[
INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:+15550100@[local_ip]:[local_port]>;tag=[pid]t[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:sipp@[local_ip]:[local_port]>
P-Asserted-Identity: "Agent" <sip:+15550147@trunk.example;user=phone>, <tel:+15550148>
Max-Forwards: 70
Content-Length: 0

]]></send>
  <recv response="100" optional="true"/>
  <recv response="180" optional="true"/>
  <recv response="200">
    <action><ereg regexp="m=audio [1-9][0-9]* RTP/AVP 0 8 101" search_in="body" check_it="true" assign_to="1"/></action>
  </recv>
  <send><![CDATA[
ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
[last_From:]
[last_To:]
Call-ID: [call_id]
CSeq: 1 ACK
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 8
]]></send>
  <pause milliseconds="300"/>
  <send retrans="500"><![CDATA[
INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
[last_From:]
[last_To:]
Call-ID: [call_id]
CSeq: 2 INVITE
Contact: <sip:sipp@[local_ip]:[local_port]>
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 2 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 8
a=sendonly
]]></send>
  <recv response="100" optional="true"/>
  <recv response="200">
    <action><ereg regexp="a=recvonly" search_in="body" check_it="true" assign_to="2"/></action>
  </recv>
  <send><![CDATA[
ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
[last_From:]
[last_To:]
Call-ID: [call_id]
CSeq: 2 ACK
Content-Length: 0

]]></send>
  <pause milliseconds="1000"/>
  <send retrans="500"><![CDATA[
BYE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
[last_From:]
[last_To:]
Call-ID: [call_id]
CSeq: 3 BYE
Max-Forwards: 70
Content-Length: 0

]]></send>
  <recv response="200"/>
  <Reference variables="1,2"/>
</scenario>
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_offer_is_answered_and_hold_silences_us() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("uac.xml"), LATE_OFFER_AND_HOLD).unwrap();
    let (endpoint, mut incoming) = endpoint().await;
    let target = endpoint.local_addr().to_string();
    let child = sipp(
        folder.path(),
        &["-sf", "uac.xml", &target, "-s", "+15550199", "-m", "1"],
    );
    let call = soon("a call from sipp", incoming.next()).await.unwrap();
    assert_eq!(call.from_user(), Some("+15550100"));
    let users: Vec<&str> = call
        .callers()
        .iter()
        .flat_map(|field| &field.addresses)
        .map(|address| address.user.as_str())
        .collect();
    assert!(users.contains(&"+15550147"), "{users:?}");
    let call = call.answer(MediaOptions::default()).await.unwrap();
    let ended = soon("the BYE of sipp", call.ended()).await;
    succeeds(child, folder.path()).await;
    assert_eq!(ended.by, EndedBy::Remote);
    let sent = Duration::from_millis(20) * u32::try_from(ended.media.packets_sent).unwrap();
    assert!(sent >= Duration::from_millis(200), "{ended:?}");
    assert!(
        sent + Duration::from_millis(800) < ended.duration,
        "sent while on hold: {ended:?}"
    );
}
