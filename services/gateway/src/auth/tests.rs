use axum::http::{HeaderName, HeaderValue};

use super::*;

const TOKEN: &str = "a-token-of-some-length";
const NEXT: &str = "the-token-that-follows";
const KEY: &str = "a-key-of-some-length-too";
const NOW: i64 = 1_795_000_000;

fn callers() -> Callers {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        Some(path)
    };
    let caller = |name: &str, token_file, key_file| CallerSettings {
        name: name.to_owned(),
        token_file,
        key_file,
        may: vec![Right::Alert],
    };
    let settings = [
        caller("alertmanager", file("token", &format!("{TOKEN}\n\n{NEXT}\n")), None),
        caller("ticketing", None, file("key", KEY)),
    ];
    Callers::read(&settings, Limits::default()).unwrap()
}

fn headers(entries: &[(&'static str, &str)]) -> HeaderMap {
    let entry = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    entries.iter().map(entry).collect()
}

fn by_token(value: &str) -> Option<String> {
    callers().by_token(&headers(&[("authorization", value)])).map(|caller| caller.name.clone())
}

const COMMANDS: Asked<'static> = Asked { method: "POST", path: "/v1/commands" };

fn signed(key: &str, at: i64, body: &str, sent: &str, now: i64) -> Option<String> {
    signed_for(&COMMANDS, key, at, body, (&COMMANDS, sent), now)
}

fn signed_for(
    meant: &Asked<'_>,
    key: &str,
    at: i64,
    body: &str,
    (asked, sent): (&Asked<'_>, &str),
    now: i64,
) -> Option<String> {
    let bytes = signature(key.as_bytes(), &at.to_string(), meant, body.as_bytes());
    let digits = bytes.map(|byte| format!("{byte:02x}")).concat();
    let headers = headers(&[(SIGNED_AT, &at.to_string()), (SIGNATURE, &format!("sha256={digits}"))]);
    let now = Timestamp::from_second(now).unwrap();
    callers().by_signature(&headers, asked, sent.as_bytes(), now).map(|caller| caller.name.clone())
}

#[test]
fn a_token_is_known_to_the_last_character_and_in_both_generations() {
    assert_eq!(by_token(&format!("Bearer {TOKEN}")).as_deref(), Some("alertmanager"));
    assert_eq!(by_token(&format!("bearer {NEXT}")).as_deref(), Some("alertmanager"));
    let near = [
        String::new(),
        "Bearer ".to_owned(),
        "Bearer".to_owned(),
        format!("Bearer {TOKEN} "),
        format!("Bearer {}", &TOKEN[1..]),
        format!("Bearer {}x", &TOKEN[..TOKEN.len() - 1]),
        format!("Basic {TOKEN}"),
        // A key is no token.
        format!("Bearer {KEY}"),
    ];
    for value in near {
        assert_eq!(by_token(&value), None, "{value}");
    }
    assert!(callers().by_token(&HeaderMap::new()).is_none());
}

#[test]
fn a_signature_is_over_the_body_and_the_time_and_grows_old() {
    assert_eq!(signed(KEY, NOW, "body", "body", NOW).as_deref(), Some("ticketing"));
    assert_eq!(signed(KEY, NOW, "body", "body", NOW + 300).as_deref(), Some("ticketing"));
    assert_eq!(signed(KEY, NOW, "body", "body", NOW + 301), None, "sent again later");
    assert_eq!(signed(KEY, NOW, "body", "body", NOW - 301), None, "from a clock that is ahead");
    assert_eq!(signed(KEY, NOW, "body", "other", NOW), None);
    assert_eq!(signed("another-key-of-a-length", NOW, "body", "body", NOW), None);
    let now = Timestamp::from_second(NOW).unwrap();
    for sent in ["", "sha256=", "sha256=zz", "sha1=00", &format!("sha256={}", "0".repeat(64))] {
        let headers = headers(&[(SIGNED_AT, &NOW.to_string()), (SIGNATURE, sent)]);
        assert!(callers().by_signature(&headers, &COMMANDS, b"body", now).is_none(), "{sent}");
    }
    let without_time = headers(&[(SIGNATURE, &format!("sha256={}", "0".repeat(64)))]);
    assert!(callers().by_signature(&without_time, &COMMANDS, b"body", now).is_none());
}

#[test]
fn a_signature_is_good_for_what_it_was_made_for() {
    let own = |meant: &Asked<'_>, asked: &Asked<'_>| {
        signed_for(meant, KEY, NOW, "body", (asked, "body"), NOW).is_some()
    };
    let approvals = Asked { method: "POST", path: "/v1/remediations/7/approvals" };
    let query = Asked { method: "GET", path: "/v1/remediations?phase=open" };
    let other_query = Asked { method: "GET", path: "/v1/remediations?phase=ended" };
    let other_method = Asked { method: "DELETE", path: "/v1/commands" };
    assert!(own(&COMMANDS, &COMMANDS) && own(&query, &query));
    for (meant, asked) in [(&COMMANDS, &approvals), (&query, &other_query), (&COMMANDS, &other_method)] {
        assert!(!own(meant, asked), "{} {} for {} {}", meant.method, meant.path, asked.method, asked.path);
    }
    // What parts the parts can be in none of the first three, so none ends elsewhere.
    assert!("/v1/commands\nbody".parse::<Uri>().is_err() && Method::from_bytes(b"POST\n").is_err());
    let uri = Uri::from_static("http://db1:8480/v1/remediations?phase=open");
    assert_eq!(Asked::of(&Method::GET, &uri).path, "/v1/remediations?phase=open");
}

#[test]
fn every_secret_is_compared_whatever_came_out_before() {
    // Constant time comes from `subtle`; what would undo it is an early end, so the comparisons are counted.
    let callers = callers();
    let compared = std::cell::Cell::new(0);
    let all = |hit: bool| {
        compared.set(0);
        callers.chosen(|caller| {
            let secrets = caller.tokens.len() + caller.keys.len();
            compared.set(compared.get() + secrets);
            vec![Choice::from(u8::from(hit)); secrets]
        });
        compared.get()
    };
    assert_eq!((all(true), all(false)), (3, 3));
}

#[test]
fn a_secret_that_is_none_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let told = |text: Option<&str>| {
        let path = folder.path().join("token");
        match text {
            Some(text) => fs::write(&path, text).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let caller = CallerSettings {
            name: "a".to_owned(),
            token_file: Some(path),
            key_file: None,
            may: vec![Right::Read],
        };
        let limits = Limits::default();
        let refused = Callers::read(&[caller], limits).err().unwrap().to_string();
        assert!(!refused.contains("short-one"), "a secret is not told: {refused}");
        refused
    };
    assert!(told(Some("\n")).contains("is empty"));
    assert!(told(Some("short-one")).contains("16 characters"));
    assert!(told(None).contains("could not read"));
}
