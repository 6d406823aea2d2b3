//! How records lie in the file: length (4 bytes, little endian), CRC32C over length and payload (4 bytes), payload.

use std::ops::Range;

/// Length and checksum.
const HEADER_BYTES: usize = 8;
/// More than any record needs; a length beyond it is not a length.
pub const MAX_PAYLOAD_BYTES: usize = 2 * 1024 * 1024;

/// A record that is bad although good ones follow it: not a torn tail, but a file that was damaged later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// Where the bad record begins, in bytes from the start of the file.
    pub at: usize,
    /// Where the next good one begins.
    pub next_good: usize,
}

/// The payload with its header; `None` when it is too long to be a record.
pub fn encode(payload: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= MAX_PAYLOAD_BYTES)?;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&checksum(length.to_le_bytes(), payload).to_le_bytes());
    bytes.extend_from_slice(payload);
    Some(bytes)
}

/// The payload of the record that begins at `at`; `None` when there is no good one.
pub fn payload_at(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let header = bytes.get(at..at.checked_add(HEADER_BYTES)?)?;
    let length: [u8; 4] = header[..4].try_into().expect("four bytes of eight");
    let expected = u32::from_le_bytes(header[4..].try_into().expect("four bytes of eight"));
    let from = at + HEADER_BYTES;
    let range = from..from.checked_add(u32::from_le_bytes(length) as usize)?;
    let payload = bytes.get(range.clone())?;
    // Every payload is a JSON object. Without this a run of zeros would be a record of length zero.
    let plausible = payload.first() == Some(&b'{') && payload.len() <= MAX_PAYLOAD_BYTES;
    (plausible && checksum(length, payload) == expected).then_some(range)
}

/// The payloads of all records, and where the good ones end. What lies behind that is a torn tail.
pub fn scan(bytes: &[u8]) -> Result<(Vec<Range<usize>>, usize), Damage> {
    let mut payloads = Vec::new();
    let mut at = 0;
    while let Some(payload) = payload_at(bytes, at) {
        at = payload.end;
        payloads.push(payload);
    }
    match (at + 1..bytes.len()).find(|later| payload_at(bytes, *later).is_some()) {
        Some(next_good) => Err(Damage { at, next_good }),
        None => Ok((payloads, at)),
    }
}

/// Where the header of a payload begins.
pub fn start_of(payload: &Range<usize>) -> usize {
    payload.start - HEADER_BYTES
}

fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), payload)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file_of(payloads: &[String]) -> Vec<u8> {
        payloads.iter().flat_map(|payload| encode(payload.as_bytes()).unwrap()).collect()
    }

    fn payloads() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[a-z\"{}]{0,40}".prop_map(|text| format!("{{{text}")), 1..8)
    }

    proptest! {
        #[test]
        fn a_cut_file_keeps_exactly_the_whole_records(payloads in payloads(), cut in any::<prop::sample::Index>()) {
            let file = file_of(&payloads);
            let kept = &file[..cut.index(file.len() + 1)];
            let (found, end) = scan(kept).unwrap();
            let whole: Vec<&[u8]> = found.iter().map(|range| &kept[range.clone()]).collect();
            let mut room = kept.len();
            let fits = |payload: &&String| {
                let needed = HEADER_BYTES + payload.len();
                let fits = needed <= room;
                room = room.saturating_sub(needed);
                fits
            };
            let expected: Vec<&[u8]> = payloads.iter().take_while(fits).map(String::as_bytes).collect();
            prop_assert_eq!(&whole, &expected);
            prop_assert_eq!(end, file_of(&payloads[..expected.len()]).len());
        }

        #[test]
        fn a_flipped_bit_is_never_read_as_a_record(
            payloads in payloads(), place in any::<prop::sample::Index>(), bit in 0..8u8,
        ) {
            let mut file = file_of(&payloads);
            let last = file.len() - encode(payloads.last().unwrap().as_bytes()).unwrap().len();
            let place = place.index(file.len());
            file[place] ^= 1 << bit;
            match scan(&file) {
                // In the last record it looks like a torn tail.
                Ok((found, end)) => {
                    prop_assert!(place >= last);
                    prop_assert_eq!(found.len(), payloads.len() - 1);
                    prop_assert_eq!(end, last);
                }
                Err(damage) => {
                    prop_assert!(damage.at <= place && place < damage.next_good);
                }
            }
        }
    }

    #[test]
    fn a_tail_of_zeros_is_torn_not_a_record() {
        let mut file = encode(b"{}").unwrap();
        file.extend_from_slice(&[0; 64]);
        let (payloads, end) = scan(&file).unwrap();
        assert_eq!((payloads.len(), end), (1, 10));
    }
}
