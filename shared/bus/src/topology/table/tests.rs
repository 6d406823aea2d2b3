use super::*;

#[test]
fn the_number_of_shards_is_read_from_the_transform_only() {
    for shards in [1, 4, 256] {
        assert_eq!(shards_of_transform(&subject::command_transform(shards).1), Some(shards));
    }
    for other in ["", "instance.v1.command.{{wildcard(1)}}", "x.{{partition(0,1)}}.{{wildcard(1)}}"] {
        assert_eq!(shards_of_transform(other), None, "{other}");
    }
}

#[test]
fn every_stored_subject_has_its_stream() {
    let names: Vec<String> = streams(2, 1).into_iter().map(|spec| spec.name).collect();
    for subject in [
        "instance.v1.error.h.i.info",
        "instance.v1.remediation.1.x.ended",
        "instance.v1.dead.S",
        "instance.v1.audit.a",
        "instance.v1.incident.i.x.opened",
    ] {
        let stream = stream_of(subject).unwrap();
        assert!(names.contains(&stream), "{subject} -> {stream}");
    }
    assert_eq!(stream_of("instance.v1.generate"), None);
    assert_eq!(stream_of("_INBOX.a"), None);
}
