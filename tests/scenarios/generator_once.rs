//! A live log is followed: each entry is on the bus exactly once and in order, whoever dies meanwhile.

use std::{
    fs::{self, File},
    io::Write as _,
    time::Duration,
};

use crate::pipeline::Pipeline;

/// A log that the test writes in the place of the instance.
struct Writer {
    file: File,
    written: Vec<String>,
}

impl Writer {
    fn new(pipeline: &Pipeline) -> Self {
        let path = pipeline.iris.log_path();
        let file = File::options().create(true).append(true).open(path).unwrap();
        Self { file, written: Vec::new() }
    }

    /// Entries as IRIS writes them; every third has a second line.
    fn write(&mut self, count: usize) {
        for _ in 0..count {
            let number = self.written.len();
            let text = format!("entry number {number}");
            let more = if number.is_multiple_of(3) { "\n  a line that belongs to it" } else { "" };
            let (second, milli) = (number / 1000 % 60, number % 1000);
            let line =
                format!("11/21/26-10:00:{second:02}:{milli:03} (4711) 1 [Utility.Event] {text}{more}\n");
            self.file.write_all(line.as_bytes()).unwrap();
            self.written.push(text);
        }
    }

    /// As IRIS does when the log is large: it is renamed, and a new one begun.
    fn rotate(&mut self, pipeline: &Pipeline, name: &str) {
        let path = pipeline.iris.log_path();
        fs::rename(&path, path.with_file_name(name)).unwrap();
        self.file = File::options().create(true).append(true).open(path).unwrap();
    }
}

/// Waits until as many are on the bus as were written; they must be the same ones, in order.
async fn all_arrived(pipeline: &Pipeline, writer: &Writer) {
    let look = async {
        loop {
            let found = texts(pipeline).await;
            if found.len() >= writer.written.len() {
                break found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let Ok(found) = tokio::time::timeout(Duration::from_secs(15), look).await else {
        let found = texts(pipeline).await;
        let missing: Vec<_> = writer.written.iter().filter(|text| !found.contains(text)).collect();
        panic!("missing: {missing:?}\n{}", pipeline.logs());
    };
    assert_eq!(found, writer.written);
}

/// First lines of all messages on the bus.
async fn texts(pipeline: &Pipeline) -> Vec<String> {
    let messages = pipeline.messages().await.into_iter();
    messages
        .map(|(_, message)| message.message_text.as_str().lines().next().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_come_once_and_in_order_over_rotation_restart_kill_and_a_lost_cursor() {
    let mut pipeline = Pipeline::new(&[]).await;
    let mut writer = Writer::new(&pipeline);
    writer.write(50);
    pipeline.generator();
    all_arrived(&pipeline, &writer).await;

    // Rotated while it is read.
    writer.write(20);
    writer.rotate(&pipeline, "messages.old_20261121");
    writer.write(20);
    all_arrived(&pipeline, &writer).await;

    // Drained, and written meanwhile.
    pipeline.service("generator").terminate();
    assert!(pipeline.service("generator").ended(Duration::from_secs(10)).await.success());
    writer.write(20);
    pipeline.generator();
    all_arrived(&pipeline, &writer).await;

    // Killed in the middle of a burst, several times.
    for _ in 0..3 {
        writer.write(100);
        let before = texts(&pipeline).await.len();
        instance_testkit::eventually(Duration::from_secs(10), || async {
            (texts(&pipeline).await.len() > before).then_some(())
        })
        .await;
        pipeline.service("generator").kill9();
        writer.write(10);
        pipeline.generator();
    }
    all_arrived(&pipeline, &writer).await;

    // Killed, and its cursor lost; the log was rotated meanwhile.
    pipeline.service("generator").kill9();
    writer.write(10);
    writer.rotate(&pipeline, "messages.old_20261122");
    writer.write(10);
    fs::remove_dir_all(pipeline.path("state/generator")).unwrap();
    pipeline.generator();
    all_arrived(&pipeline, &writer).await;

    let messages = pipeline.messages().await;
    let ids: std::collections::BTreeSet<_> =
        messages.iter().map(|(_, message)| message.message_id.to_string()).collect();
    assert_eq!(ids.len(), messages.len());
    let raw: String = messages.iter().map(|(_, message)| message.raw.as_str()).collect();
    assert_eq!(raw, on_disk(&pipeline), "what was published is what was written, byte for byte");
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_written_while_the_server_is_dead_arrive_when_it_is_back() {
    let mut pipeline = Pipeline::new(&[]).await;
    let mut writer = Writer::new(&pipeline);
    writer.write(20);
    pipeline.generator();
    all_arrived(&pipeline, &writer).await;
    pipeline.server.kill9();
    writer.write(30);
    pipeline.server.restart();
    all_arrived(&pipeline, &writer).await;
}

/// The rotated logs, oldest first, then the live one.
fn on_disk(pipeline: &Pipeline) -> String {
    let folder = pipeline.iris.log_path().parent().unwrap().to_owned();
    let files = ["messages.old_20261121", "messages.old_20261122", "messages.log"];
    files.iter().map(|name| fs::read_to_string(folder.join(name)).unwrap()).collect()
}
