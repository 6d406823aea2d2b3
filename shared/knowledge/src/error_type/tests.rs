use super::{ErrorType, Words, classify_error_type};

#[test]
fn the_built_in_words_are_good() {
    let words =
        Words::read("error_type_words.toml", include_str!("../../data/error_type_words.toml")).unwrap();
    assert!(words.rows.len() >= 7);
    let short = Words::read("mine.toml", "[[kind]]\nclass = \"journal\"\nwords = [\"j\"]\n")
        .err()
        .unwrap()
        .to_string();
    assert!(short.contains("mine.toml") && short.contains("at least three characters"), "{short}");
}

#[test]
fn a_known_condition_says_its_kind() {
    let kind = |text| classify_error_type(text, 2, Some("Utility.Event"));
    assert_eq!(kind("Daemon WRTDMN (pid 17) died. Freezing system"), ErrorType::Resource);
    assert_eq!(kind("Invalid parameter name 'x', LINE:'x=1' at line 3"), ErrorType::Config);
    assert_eq!(kind("License limit exceeded 12 times since instance start."), ErrorType::License);
    assert_eq!(kind("Journaling NOT  started."), ErrorType::Journal);
    assert_eq!(kind("<FILEFULL>in database /a/"), ErrorType::Database);
    assert_eq!(kind("2 SSL/TLS, X.509 Certificate(s) have expired."), ErrorType::Security);
    assert_eq!(kind("Becoming primary mirror server"), ErrorType::Mirror);
}

#[test]
fn unknown_texts_are_told_by_words() {
    for (text, kind) in [
        ("LMF Error: something that no row knows", ErrorType::License),
        ("Mirror journal transfer stopped", ErrorType::Mirror),
        ("Could not read the journal header", ErrorType::Journal),
        ("982MB global buffers, 300MB routine buffers, 64MB journal buffers, 3MB heap", ErrorType::Resource),
        ("Audit database was switched", ErrorType::Security),
        ("Unexpected key in CPF file", ErrorType::Config),
        ("Integrity of a block is in doubt", ErrorType::Database),
        ("No space left on device", ErrorType::Resource),
        ("The quick brown fox", ErrorType::Other),
        ("", ErrorType::Other),
    ] {
        assert_eq!(classify_error_type(text, 2, None), kind, "{text}");
    }
}

#[test]
fn everyday_words_count_only_in_severe_messages() {
    let text = "Session of a user timed out";
    assert_eq!(classify_error_type(text, 0, None), ErrorType::Other);
    assert_eq!(classify_error_type(text, 2, None), ErrorType::Resource);
}

#[test]
fn a_category_decides_when_no_word_does() {
    assert_eq!(classify_error_type("dRO] x", 1, Some("Database.MountedRO")), ErrorType::Database);
    assert_eq!(classify_error_type("x", 0, Some("Crypto.IntelSandyBridgeAESNI")), ErrorType::Security);
    assert_eq!(classify_error_type("x", 0, Some("WriteDaemon.Started")), ErrorType::Resource);
    assert_eq!(classify_error_type("x", 0, Some("Generic.Event")), ErrorType::Other);
    assert_eq!(classify_error_type("x", 0, Some("")), ErrorType::Other);
}

#[test]
fn names_are_those_of_the_contract() {
    let names: Vec<_> = ErrorType::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        ["config", "license", "resource", "journal", "database", "security", "mirror", "other"]
    );
}
