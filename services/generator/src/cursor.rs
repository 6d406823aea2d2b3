//! How far a log was published: in a file, and on the bus itself.
//!
//! The file alone would not do: it may be lost, and a process killed between the bus's answer and the write of the file
//! comes back with an old one, perhaps after the bus has forgotten the message id (2 minutes). So every message
//! carries its place in headers, and at every start the newest stored message is asked too. The file is replaced whole but
//! not synced: after a power cut the bus knows better.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use instance_bus::{Bus, BusError, Durability, Headers, StartAt, topology};
use instance_contract::{HostName, InstanceName, subject};
use serde::{Deserialize, Serialize};

use crate::tail::{Part, Position};

/// Header: identity of the log that a message was read from.
pub const FILE: &str = "Instance-File";
/// Header: where the bytes of this message begin in it.
pub const OFFSET: &str = "Instance-Offset";
/// Header: the first byte after them.
pub const END: &str = "Instance-End";
/// Header: where the entry begins that these bytes belong to; differs from the offset in a continuation.
pub const ENTRY: &str = "Instance-Entry";
/// Header, only on the rest of an entry that was published before all of it had come: id of its first message.
pub const CONTINUES: &str = "Instance-Continues";

/// How far the log of one instance was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub position: Position,
    /// Place of the last published message in INSTANCE_ERRORS.
    pub sequence: u64,
    /// Offset of the instance's local time in seconds east of UTC, when it was learnt.
    pub utc_offset: Option<i32>,
}

/// The file that holds the cursor of one instance.
#[derive(Debug)]
pub struct CursorFile(PathBuf);

#[derive(Serialize, Deserialize)]
struct Written {
    file: String,
    entry: u64,
    end: u64,
    sequence: u64,
    #[serde(default)]
    utc_offset: Option<i32>,
}

impl CursorFile {
    pub fn of(state_dir: &Path, instance: &InstanceName) -> Self {
        Self(state_dir.join(format!("{}.cursor", instance.token())))
    }

    /// The cursor, or `None` when there is none that can be used.
    pub fn read(&self) -> Option<Cursor> {
        let text = match fs::read(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %self.0.display(), %error, "could not read the cursor; asking the bus");
                return None;
            }
        };
        let cursor = serde_json::from_slice::<Written>(&text).ok().and_then(|written| {
            let position =
                Position { file: written.file.parse().ok()?, entry: written.entry, end: written.end };
            Some(Cursor { position, sequence: written.sequence, utc_offset: written.utc_offset })
        });
        if cursor.is_none() {
            tracing::warn!(path = %self.0.display(), "the cursor is damaged; asking the bus");
        }
        cursor
    }

    /// Replaces the cursor: a reader sees the old or the new one.
    pub fn write(&self, cursor: &Cursor) -> io::Result<()> {
        let Position { file, entry, end } = &cursor.position;
        let written = Written {
            file: file.to_string(),
            entry: *entry,
            end: *end,
            sequence: cursor.sequence,
            utc_offset: cursor.utc_offset,
        };
        let aside = self.0.with_extension("new");
        fs::write(&aside, serde_json::to_vec(&written)?)?;
        fs::rename(aside, &self.0)
    }
}

/// The headers that tell where a part lies.
pub fn headers(part: &Part) -> Headers {
    Headers::new()
        .with(FILE, &part.position.file.to_string())
        .with(OFFSET, &part.offset.to_string())
        .with(END, &part.position.end.to_string())
        .with(ENTRY, &part.position.entry.to_string())
}

/// The place that a stored message tells; `None` for one that was not tailed.
fn place(headers: &Headers) -> Option<Position> {
    Some(Position {
        file: headers.get(FILE)?.parse().ok()?,
        entry: headers.get(ENTRY)?.parse().ok()?,
        end: headers.get(END)?.parse().ok()?,
    })
}

/// The newest position: the cursor's, or that of a younger stored message.
pub async fn newest(
    bus: &Bus,
    host: &HostName,
    instance: &InstanceName,
    cursor: Option<Cursor>,
) -> Result<Option<Cursor>, BusError> {
    let filter = subject::errors_of(host, instance);
    let Some(last) = bus.last_in(topology::ERRORS, filter.as_str()).await? else { return Ok(cursor) };
    let known = cursor.as_ref().map_or(0, |cursor| cursor.sequence);
    if last.sequence <= known {
        return Ok(cursor);
    }
    let utc_offset = cursor.as_ref().and_then(|cursor| cursor.utc_offset);
    // Messages of one log are stored in the order of their offsets, one after the other.
    if let Some(position) = place(&last.headers) {
        return Ok(Some(Cursor { position, sequence: last.sequence, utc_offset }));
    }
    // Somebody replays or invents for this instance: look through what came since.
    let found = last_tailed(bus, &filter, known + 1, last.sequence).await?;
    Ok(found.map(|(position, sequence)| Cursor { position, sequence, utc_offset }).or(cursor))
}

async fn last_tailed(
    bus: &Bus,
    filter: &subject::Subject,
    from: u64,
    to: u64,
) -> Result<Option<(Position, u64)>, BusError> {
    let mine = filter.as_str().trim_end_matches('*');
    let mut errors = bus.errors(Durability::Ephemeral, StartAt::Sequence(from)).await?;
    let mut found = None;
    while let Some(delivery) = errors.next().await {
        let delivery = delivery?;
        let sequence = delivery.sequence();
        if delivery.subject().starts_with(mine)
            && let Some(position) = place(delivery.headers())
        {
            found = Some((position, sequence));
        }
        // Another reader's view is not touched: this reading is our own and forgotten when we are done.
        delivery.done().await?;
        if sequence >= to {
            break;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_written_and_a_damaged_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = CursorFile::of(folder.path(), &"IRIS".parse().unwrap());
        assert_eq!(file.read(), None);
        let position = Position { file: "1-2-3-00000000000000ff-0".parse().unwrap(), entry: 7, end: 9 };
        let cursor = Cursor { position, sequence: 4, utc_offset: Some(3600) };
        file.write(&cursor).unwrap();
        assert_eq!(file.read(), Some(cursor));
        fs::write(folder.path().join("IRIS.cursor"), b"{\"file\":\"1-2").unwrap();
        assert_eq!(file.read(), None);
    }
}
