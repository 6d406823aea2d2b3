//! A template made ready: all that does not vary is bytes that are copied.

use crate::dice::Dice;
use crate::template::{MOST_SLOTS, Piece, SLOTS_OF_A_THROW, Slot, Template};

/// The category, the text and the line end of a template.
#[derive(Debug, Clone)]
pub struct Line {
    /// `[Category] `, and the text up to its first variable part; everything when nothing varies.
    lead: Bytes,
    /// Bytes of the category with its brackets and blank.
    text_at: usize,
    slots: Vec<Filling>,
    /// The variable parts in their order, each with the text that follows it.
    rest: Vec<(usize, Bytes)>,
    /// There are so many texts that the same one will not come twice running.
    varied: bool,
}

/// What a variable part may be: the lowest value and how many there are. The same one twice in a text takes the same.
#[derive(Debug, Clone)]
struct Filling {
    lowest: u32,
    values: u32,
    /// The texts that the values stand for; numbers without any.
    texts: Vec<Bytes>,
}

/// Bytes, with padding behind them, so that short ones can be copied with a length that the compiler knows.
#[derive(Debug, Clone)]
struct Bytes {
    padded: Vec<u8>,
    length: usize,
}

/// Most categories with what follows them up to the first variable part are shorter.
const LEAD: usize = 128;
/// Most other parts of texts are shorter.
const PART: usize = 64;

/// Texts of which nobody sees one twice running.
const MANY: u64 = 1_000_000;

impl Line {
    pub fn of(template: &Template) -> Self {
        let category = template.category.as_ref().map_or(String::new(), |name| format!("[{name}] "));
        let (text_at, mut text) = (category.len(), category);
        let (mut lead, mut rest, mut slot) = (None, Vec::new(), None);
        let mut close = |slot: &mut Option<usize>, text: &mut String| {
            let bytes = Bytes::of(std::mem::take(text).into_bytes());
            match slot.take() {
                Some(slot) => rest.push((slot, bytes)),
                None => lead = Some(bytes),
            }
        };
        for piece in template.pieces() {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Slot(place) => {
                    close(&mut slot, &mut text);
                    slot = Some(*place);
                }
            }
        }
        text.push('\n');
        close(&mut slot, &mut text);
        let lead = lead.expect("the first close is that of the lead");
        let slots: Vec<Filling> = template.slots().iter().map(Filling::of).collect();
        let texts = slots.iter().fold(1_u64, |texts, slot| texts.saturating_mul(u64::from(slot.values)));
        Self { lead, text_at, slots, rest, varied: texts >= MANY }
    }

    /// Are there so many texts that the same one will not come twice running?
    #[inline]
    pub fn is_varied(&self) -> bool {
        self.varied
    }

    /// Appends category, text and line end; tells where the text begins.
    #[inline]
    pub fn write(&self, dice: &mut Dice, out: &mut Vec<u8>) -> usize {
        let text_at = out.len() + self.text_at;
        self.lead.write::<LEAD>(out);
        if self.rest.is_empty() {
            return text_at;
        }
        let mut chosen = [0; MOST_SLOTS];
        let pairs = self.slots.chunks(SLOTS_OF_A_THROW);
        for (slots, values) in pairs.zip(chosen.chunks_mut(SLOTS_OF_A_THROW)) {
            let mut throw = dice.throw();
            for (slot, value) in slots.iter().zip(values) {
                *value = slot.lowest + throw.below(slot.values);
            }
        }
        for (place, after) in &self.rest {
            self.slots[*place].write(chosen[*place], out);
            after.write::<PART>(out);
        }
        text_at
    }
}

impl Filling {
    fn of(slot: &Slot) -> Self {
        match slot {
            Slot::Number(low, high) => {
                Self { lowest: *low, values: (high - low).saturating_add(1), texts: Vec::new() }
            }
            Slot::OneOf(texts) => Self {
                lowest: 0,
                values: u32::try_from(texts.len()).unwrap_or(u32::MAX),
                texts: texts.iter().map(|text| Bytes::of(text.clone().into_bytes())).collect(),
            },
        }
    }

    #[inline]
    fn write(&self, value: u32, out: &mut Vec<u8>) {
        match self.texts.get(value as usize) {
            Some(text) => text.write::<PART>(out),
            None => push_number(out, value),
        }
    }
}

impl Bytes {
    fn of(mut bytes: Vec<u8>) -> Self {
        let length = bytes.len();
        bytes.resize(length.max(LEAD), b' ');
        Self { padded: bytes, length }
    }

    /// Appends them; in one piece of a fixed length when they are no more than that.
    #[inline]
    fn write<const SHORT: usize>(&self, out: &mut Vec<u8>) {
        match self.padded.first_chunk::<SHORT>() {
            Some(short) if self.length <= SHORT => {
                let end = out.len() + self.length;
                out.extend_from_slice(short);
                out.truncate(end);
            }
            _ => out.extend_from_slice(&self.padded[..self.length]),
        }
    }
}

#[inline]
fn push_number(out: &mut Vec<u8>, number: u32) {
    if number >= 100_000_000 {
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        return;
    }
    let (digits, zeros) = eight_digits(number);
    let end = out.len() + 8 - zeros;
    out.extend_from_slice(&(digits >> (zeros * 8)).to_le_bytes());
    out.truncate(end);
}

/// The digits of a number below 100,000,000, the first one in the lowest byte, and how many zeros lead (seven at most).
///
/// Halves are made of it, then quarters, then digits, all in one register: a number costs no branch.
#[inline]
fn eight_digits(number: u32) -> (u64, usize) {
    let fours = u64::from(number / 10_000) | (u64::from(number % 10_000) << 32);
    // A division of each four digits by 100, and of each two by 10, as a multiplication that is exact in this range.
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = tens | ((twos - tens * 10) << 8);
    let zeros = (ones | 1 << 56).trailing_zeros() as usize / 8;
    (ones | 0x3030_3030_3030_3030, zeros)
}

#[cfg(test)]
mod tests {
    use super::push_number;

    #[test]
    fn numbers_are_written_as_they_are() {
        let near = |number: u32| number.saturating_sub(2)..=number.saturating_add(2);
        let powers = (0..10).map(|power| 10_u32.pow(power));
        let some = (0..4_000).map(|step: u32| step.wrapping_mul(1_073_741));
        for number in powers.flat_map(near).chain(0..12_000).chain(some).chain([u32::MAX]) {
            let mut out = b"x".to_vec();
            push_number(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), format!("x{number}"));
        }
    }
}
