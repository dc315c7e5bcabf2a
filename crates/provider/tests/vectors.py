"""Signed status callbacks, made and judged by the providers' own packages, as JSON for vectors.rs.

Each case has what arrives, and whether the package believes it. Genuine ones are made with the package's own code where
it can sign (Twilio, Plivo, Retell, LiveKit); Telnyx's and ElevenLabs' packages check only, so theirs are signed here,
and the package has to believe them. The cases are the same in each run but for the time, which signatures hold.
"""

import base64
import datetime
import hashlib
import hmac
import json
import random
import signal
import time
from email.utils import formatdate
from urllib.parse import parse_qsl, urlencode

import jwt
from elevenlabs.client import ElevenLabs
from livekit.api import AccessToken, TokenVerifier, WebhookReceiver
from nacl.signing import SigningKey
from plivo.utils import signature_v3 as plivo
from retell.lib import webhook_auth as retell
from telnyx.lib.webhook_verification import WebhookVerificationError, verify_webhook_signature
from twilio.request_validator import RequestValidator, get_signature_algorithm
from werkzeug.datastructures import MultiDict

SECRET = "s3cret-of-vectors-with-32-bytes-or-more"
OTHER = "s3cret-of-somebody-else-with-32-bytes-or-more"
SHARED = "s3cret-of-a-shared-key-with-32-bytes-or-more"
BASE = "https://ringdown.example/callbacks/9"
NOW = int(time.time())
ODD = ["", " ", "a b", "a+b", "50%", "a&b=c", "é", "日本", "😀", "x" * 300, "\t", "a\nb", "%2B", "~!*'()", '"', "\\", "/"]
ROUNDS = 25

signal.alarm(120)
rand = random.Random(20)
cases = []


def case(provider, name, believes, body, headers, url=BASE, method="POST"):
    arrived = {"url": url, "method": method, "headers": headers, "body": body}
    cases.append(
        {"provider": provider, "name": name, "at": NOW, "believed": believes(arrived)} | arrived
    )
    return cases[-1]


def odd():
    return rand.choice(ODD) + rand.choice(ODD)


def turned(text, at):
    """The text with another character at one place, in base64 and in hexadecimal digits as well."""
    return text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]


def tamper(genuine, believes, signature, signed_url):
    """What may not be believed: everything that is signed, changed at one place."""
    assert genuine["believed"], genuine
    provider, name = genuine["provider"], genuine["name"]
    parts = {key: genuine[key] for key in ("body", "headers", "url", "method")}

    def again(what, **changed):
        tampered = case(provider, f"{name}, {what}", believes, **(parts | changed))
        assert not tampered["believed"], tampered

    body = parts["body"]
    if body:
        again("another body", body=body.replace("42", "43") if "42" in body else turned(body, 0))
        again("a longer body", body=body + "&x=1" if "=" in body and body[0] != "{" else body + " ")
    if signed_url:
        again("another address", url=parts["url"].replace("callbacks/9", "callbacks/8"))
        again("a longer query", url=parts["url"] + ("&" if "?" in parts["url"] else "?") + "x=1")
    value = parts["headers"][signature]
    # In front of what may be the padding of base64.
    again("another signature", headers=parts["headers"] | {signature: turned(value, len(value) - 4)})
    again("no signature", headers={k: v for k, v in parts["headers"].items() if k != signature})


def address(text=odd):
    """An address with a query in which names may come twice."""
    query = [("run_id", "42"), ("attempt_id", "attempt-7")]
    query += [(rand.choice(["a", "b", "Z"]), text()) for _ in range(rand.randrange(3))]
    return BASE + "?" + urlencode(query)


def ascii():
    return rand.choice([text for text in ODD if text.isascii()])


def form(fields, text=odd):
    fields = fields + [(rand.choice(["A", "b", "B", "Zz"]), text()) for _ in range(rand.randrange(4))]
    rand.shuffle(fields)
    return fields


def lists(fields):
    return MultiDict(fields).to_dict(flat=False)


# Twilio


TWILIO_SETTINGS = "X-Twilio-Webhooks-Signature-Settings"


def twilio_believes(arrived):
    fields = MultiDict(parse_qsl(arrived["body"], keep_blank_values=True))
    fields = fields if arrived["method"] == "POST" else {}
    signature = arrived["headers"].get("X-Twilio-Signature", "")
    settings = arrived["headers"].get(TWILIO_SETTINGS)
    key, algorithm = SHARED if settings else SECRET, get_signature_algorithm(settings)
    return RequestValidator(key).validate(arrived["url"], fields, signature, algorithm)


def twilio():
    believes = twilio_believes
    status = [
        ("CallSid", "CA42"),
        ("CallStatus", "ringing"),
        ("Timestamp", formatdate(NOW)),
    ]
    for number in range(ROUNDS):
        fields, url = form(status), address()
        url = url.replace("example/", "example:443/") if number % 3 == 1 else url
        tag = RequestValidator(SECRET).compute_signature(url, MultiDict(fields))
        if number % 3 == 2:
            # Signed with the port and sent without it.
            ported = url.replace("example/", "example:443/")
            tag = RequestValidator(SECRET).compute_signature(ported, MultiDict(fields))
        made = case("twilio", f"form {number}", believes, urlencode(fields), {"X-Twilio-Signature": tag}, url)
        tamper(made, believes, "X-Twilio-Signature", True)
    url = BASE + "?" + urlencode(status)
    tag = RequestValidator(SECRET).compute_signature(url, {})
    made = case("twilio", "query", believes, "", {"X-Twilio-Signature": tag}, url, "GET")
    tamper(made, believes, "X-Twilio-Signature", True)
    tag = RequestValidator(OTHER).compute_signature(BASE, MultiDict(status))
    case("twilio", "another token", believes, urlencode(status), {"X-Twilio-Signature": tag})
    shared = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"
    for number in range(5):
        fields, url = form(status), address()
        tag = RequestValidator(SHARED).compute_signature(url, MultiDict(fields), "HMAC_SHA256")
        headers = {"X-Twilio-Signature": tag, TWILIO_SETTINGS: shared}
        made = case("twilio", f"shared key {number}", believes, urlencode(fields), headers, url)
        tamper(made, believes, "X-Twilio-Signature", True)
    for key in (SHARED, SECRET, OTHER):
        for algorithm in ("HMAC_SHA256", "HMAC_SHA1"):
            tag = RequestValidator(key).compute_signature(BASE, MultiDict(status), algorithm)
            for settings in (
                shared,
                "key=1, algorithm=hmac_sha256",
                "algorithm=HMAC_SHA1",
                "key=1",
                "algorithm=",
                "algorithm=HMAC_SHA512",
                "",
            ):
                headers = {"X-Twilio-Signature": tag, TWILIO_SETTINGS: settings}
                name = f"{key} by {algorithm} for {settings!r}"
                case("twilio", name, believes, urlencode(status), headers)


# Plivo


def plivo_believes(arrived):
    fields = lists(parse_qsl(arrived["body"], keep_blank_values=True))
    headers = arrived["headers"]
    return plivo.validate_v3_signature(
        arrived["method"],
        arrived["url"],
        headers.get("X-Plivo-Signature-V3-Nonce", ""),
        SECRET,
        headers.get("X-Plivo-Signature-V3", ""),
        fields if arrived["method"] == "POST" else {},
    )


def plivo_headers(url, fields, method="POST", token=SECRET):
    nonce = str(rand.getrandbits(60))
    build = plivo.construct_post_url if method == "POST" else plivo.construct_get_url
    tag = plivo.get_signature_v3(token, build(url, fields).decode(), nonce).decode()
    return {"X-Plivo-Signature-V3": tag, "X-Plivo-Signature-V3-Nonce": nonce}


def plivo_cases():
    status = [("RequestUUID", "r-42"), ("CallStatus", "ringing"), ("Event", "Ring")]
    for number in range(ROUNDS):
        # The package fails on queries with more than ASCII.
        fields, url = form(status), address(ascii) if number % 4 else BASE
        headers = plivo_headers(url, lists(fields))
        made = case("plivo", f"form {number}", plivo_believes, urlencode(fields), headers, url)
        tamper(made, plivo_believes, "X-Plivo-Signature-V3", True)
    for number in range(5):
        url = BASE + "?" + urlencode(form(status, ascii))
        headers = plivo_headers(url, {}, "GET")
        made = case("plivo", f"query {number}", plivo_believes, "", headers, url, "GET")
        tamper(made, plivo_believes, "X-Plivo-Signature-V3", True)
    headers, other = plivo_headers(BASE, lists(status)), plivo_headers(BASE, lists(status), token=OTHER)
    case("plivo", "another token", plivo_believes, urlencode(status), other)
    nonce = headers["X-Plivo-Signature-V3-Nonce"]
    second = plivo.get_signature_v3(OTHER, plivo.construct_post_url(BASE, lists(status)).decode(), nonce).decode()
    both = {"X-Plivo-Signature-V3": second + "," + headers["X-Plivo-Signature-V3"]}
    case("plivo", "two tokens", plivo_believes, urlencode(status), headers | both)


# Those that sign JSON


def texts(make):
    """JSON as services write it: short or with spaces, ASCII or not."""
    for number in range(ROUNDS):
        value = make(odd())
        separators = (",", ":") if number % 2 else None
        yield number, json.dumps(value, separators=separators, ensure_ascii=number % 3 == 0)


def telnyx_key(seed):
    return SigningKey(hashlib.sha256(seed.encode()).digest())


TELNYX_PUBLIC = base64.b64encode(telnyx_key(SECRET).verify_key.encode()).decode()


def telnyx_believes(arrived):
    try:
        verify_webhook_signature(arrived["body"], arrived["headers"], TELNYX_PUBLIC)
    except WebhookVerificationError:
        return False
    return True


def telnyx():
    def headers(body, seed=SECRET, at=NOW):
        tag = telnyx_key(seed).sign(f"{at}|{body}".encode()).signature
        return {"telnyx-timestamp": str(at), "telnyx-signature-ed25519": base64.b64encode(tag).decode()}

    def make(text):
        payload = {"call_leg_id": "leg-42", "note": text}
        return {"data": {"event_type": "call.answered", "payload": payload}}

    for number, body in texts(make):
        made = case("telnyx", f"event {number}", telnyx_believes, body, headers(body))
        tamper(made, telnyx_believes, "telnyx-signature-ed25519", False)
    case("telnyx", "another key", telnyx_believes, body, headers(body, OTHER))
    case("telnyx", "another time", telnyx_believes, body, headers(body) | {"telnyx-timestamp": str(NOW - 1)})
    for away in (-600, -200, 200, 600):
        case("telnyx", f"{away} s", telnyx_believes, body, headers(body, at=NOW + away))


def retell_believes(arrived):
    signature = arrived["headers"].get("x-retell-signature", "")
    return retell.verify(arrived["body"], SECRET, signature)


def retell_cases():
    def headers(body, key=SECRET, at=NOW):
        return {"x-retell-signature": retell.symmetric["sign"](body, key, at * 1000)}

    def make(text):
        return {"event": "call_started", "call": {"call_id": "call-42", "note": text}}

    for number, body in texts(make):
        made = case("retell", f"event {number}", retell_believes, body, headers(body))
        tamper(made, retell_believes, "x-retell-signature", False)
    case("retell", "another key", retell_believes, body, headers(body, OTHER))
    time, tag = headers(body)["x-retell-signature"].split("d=")
    upper = {"x-retell-signature": time + "d=" + tag.upper()}
    case("retell", "upper case", retell_believes, body, upper)
    for away in (-600, -200, 200, 600):
        case("retell", f"{away} s", retell_believes, body, headers(body, at=NOW + away))


ELEVENLABS = ElevenLabs(api_key="none")


def elevenlabs_believes(arrived):
    signature = arrived["headers"].get("elevenlabs-signature", "")
    try:
        ELEVENLABS.webhooks.construct_event(arrived["body"], signature, SECRET)
    except Exception as error:  # The package has no error of its own for it in all of its versions.
        assert type(error).__name__ == "BadRequestError", error
        return False
    return True


def elevenlabs():
    def headers(body, key=SECRET, at=NOW):
        tag = hmac.new(key.encode(), f"{at}.{body}".encode(), hashlib.sha256).hexdigest()
        return {"elevenlabs-signature": f"t={at},v0={tag}"}

    def make(text):
        data = {"conversation_id": "conv-42", "status": "done", "note": text}
        return {"type": "post_call_transcription", "data": data}

    for number, body in texts(make):
        made = case("elevenlabs", f"event {number}", elevenlabs_believes, body, headers(body))
        tamper(made, elevenlabs_believes, "elevenlabs-signature", False)
    case("elevenlabs", "another key", elevenlabs_believes, body, headers(body, OTHER))
    time, tag = headers(body)["elevenlabs-signature"].split("v0=")
    upper = {"elevenlabs-signature": time + "v0=" + tag.upper()}
    case("elevenlabs", "upper case", elevenlabs_believes, body, upper)
    for away in (-2400, -1600, 200, 600):
        case("elevenlabs", f"{away} s", elevenlabs_believes, body, headers(body, at=NOW + away))


def livekit_believes(arrived):
    receiver = WebhookReceiver(TokenVerifier("key-of-vectors", SECRET))
    try:
        receiver.receive(arrived["body"], arrived["headers"].get("authorization", ""))
    except Exception:  # The package and what it decodes tokens with have one each for what is wrong.
        return False
    return True


def livekit():
    def headers(body, key="key-of-vectors", secret=SECRET, lives=300):
        token = AccessToken(key, secret).with_ttl(datetime.timedelta(seconds=lives))
        digest = hashlib.sha256(body.encode()).digest()
        token = token.with_sha256(base64.b64encode(digest).decode())
        return {"authorization": token.to_jwt()}

    def make(text):
        attributes = {"sip.callID": "SCL_42", "sip.callStatus": "active", "note": text}
        who = {"identity": "ringdown-callee", "attributes": attributes}
        return {"event": "participant_joined", "room": {"name": "room-1"}, "participant": who}

    for number, body in texts(make):
        made = case("livekit", f"event {number}", livekit_believes, body, headers(body))
        tamper(made, livekit_believes, "authorization", False)
    case("livekit", "another secret", livekit_believes, body, headers(body, secret=OTHER))
    case("livekit", "another key", livekit_believes, body, headers(body, key="another-key"))
    # What the package makes where nothing is said.
    case("livekit", "six hours", livekit_believes, body, headers(body, lives=6 * 3600))
    case("livekit", "expired 10 s ago", livekit_believes, body, headers(body, lives=-10))
    case("livekit", "expired 90 s ago", livekit_believes, body, headers(body, lives=-90))

    def claims(algorithm="HS256", **changed):
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        own = {"iss": "key-of-vectors", "nbf": NOW, "exp": NOW + 300, "sha256": digest} | changed
        own = {name: value for name, value in own.items() if value is not None}
        secret = None if algorithm == "none" else SECRET
        return {"authorization": jwt.encode(own, secret, algorithm=algorithm)}

    for name, token in [
        ("own claims", claims()),
        ("another algorithm", claims("HS512")),
        ("no algorithm", claims("none")),
        ("no digest", claims(sha256=None)),
        ("no issuer", claims(iss=None)),
        ("no end", claims(exp=None)),
        ("four minutes early", claims(nbf=NOW + 240)),
        ("ten minutes early", claims(nbf=NOW + 600, exp=NOW + 900)),
    ]:
        case("livekit", name, livekit_believes, body, token)


twilio()
plivo_cases()
telnyx()
retell_cases()
elevenlabs()
livekit()
print(json.dumps({"secret": SECRET, "shared_key": SHARED, "telnyx_public_key": TELNYX_PUBLIC, "cases": cases}))
