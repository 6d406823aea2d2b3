//! A reader that answers whatever is asked for, and notes what that was.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer as _, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};

/// Names of keys from the table down.
pub(super) type Path = Vec<String>;

/// Stands for any item of a list and any key of a table.
pub(super) const ITEM: &str = "*";

/// Values that are tried one after the other; the first that is taken serves.
const TEXTS: [&str; 8] = ["x", "/x", "1", "http://x:1", "10:00", "+00:00", "a.b", "info"];
const INTEGERS: [u8; 5] = [1, 0, 10, 60, 100];

/// What a type asked for under each key.
#[derive(Default)]
pub(super) struct Notes {
    pub shapes: BTreeMap<Path, Shape>,
    pub required: BTreeSet<Path>,
    /// The key whose value was given last: when reading fails, most likely that is why.
    pub last: Path,
}

pub(super) enum Shape {
    Bool,
    Integer {
        from_zero: bool,
    },
    Number,
    Text,
    OneOf(&'static [&'static str]),
    List,
    /// With keys of the operator's own.
    Table,
    Struct(&'static [&'static str]),
    Any,
}

/// Why a value was refused.
#[derive(Debug)]
pub(super) struct Refusal(Option<&'static str>);

impl Refusal {
    pub fn is_missing_field(&self) -> bool {
        self.0.is_some()
    }
}

/// Reads a `T`, with the value for each key that `tries` counts to, and without the key `left_out`.
pub(super) fn read<T: DeserializeOwned>(
    notes: &mut Notes,
    tries: &BTreeMap<Path, usize>,
    left_out: Option<&Path>,
) -> Result<T, Refusal> {
    T::deserialize(Probe { notes, tries, left_out, path: Vec::new() })
}

struct Probe<'a> {
    notes: &'a mut Notes,
    tries: &'a BTreeMap<Path, usize>,
    left_out: Option<&'a Path>,
    path: Path,
}

impl Probe<'_> {
    fn note(&mut self, shape: Shape) {
        self.notes.shapes.insert(self.path.clone(), shape);
        self.notes.last.clone_from(&self.path);
    }

    fn tried(&self) -> usize {
        self.tries.get(&self.path).copied().unwrap_or_default()
    }

    fn below(&mut self, name: &str) -> Probe<'_> {
        let path = [self.path.as_slice(), &[name.to_owned()]].concat();
        Probe { notes: self.notes, tries: self.tries, left_out: self.left_out, path }
    }

    /// Is there still a value to be tried for the key of this name, and is it not the one to leave out?
    fn has(&self, name: &str) -> bool {
        let path = [self.path.as_slice(), &[name.to_owned()]].concat();
        self.left_out != Some(&path) && self.tries.get(&path).is_none_or(|tried| *tried < TEXTS.len())
    }

    fn integer<'de, V: Visitor<'de>>(mut self, from_zero: bool, visitor: V) -> Result<V::Value, Refusal> {
        self.note(Shape::Integer { from_zero });
        visitor.visit_u8(INTEGERS[self.tried().min(INTEGERS.len() - 1)])
    }

    fn number<'de, V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
        self.note(Shape::Number);
        visitor.visit_f64(f64::from(INTEGERS[self.tried().min(INTEGERS.len() - 1)]))
    }

    fn text<'de, V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
        self.note(Shape::Text);
        visitor.visit_str(TEXTS[self.tried().min(TEXTS.len() - 1)])
    }

    fn list<'de, V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
        self.note(Shape::List);
        visitor.visit_seq(Entries { probe: self, names: &[ITEM], at: 0 })
    }
}

macro_rules! all_as {
    ($($method:ident => $probe:ident($($argument:expr),*);)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            self.$probe($($argument,)* visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Refusal;

    all_as! {
        deserialize_u8 => integer(true);
        deserialize_u16 => integer(true);
        deserialize_u32 => integer(true);
        deserialize_u64 => integer(true);
        deserialize_u128 => integer(true);
        deserialize_i8 => integer(false);
        deserialize_i16 => integer(false);
        deserialize_i32 => integer(false);
        deserialize_i64 => integer(false);
        deserialize_i128 => integer(false);
        deserialize_f32 => number();
        deserialize_f64 => number();
        deserialize_char => text();
        deserialize_str => text();
        deserialize_string => text();
        deserialize_bytes => text();
        deserialize_byte_buf => text();
        deserialize_identifier => text();
        deserialize_seq => list();
    }

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
        self.note(Shape::Any);
        match self.tried() {
            0 => visitor.visit_str("x"),
            1 => visitor.visit_u8(1),
            2 => visitor.visit_bool(true),
            _ => visitor.visit_str("1"),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
        self.note(Shape::Bool);
        visitor.visit_bool(self.tried().is_multiple_of(2))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
        self.note(Shape::Any);
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(mut self, length: usize, visitor: V) -> Result<V::Value, Refusal> {
        self.note(Shape::List);
        let names = [ITEM; 8];
        visitor.visit_seq(Entries { probe: self, names: &names[..length.min(8)], at: 0 })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refusal> {
        self.note(Shape::Table);
        visitor.visit_map(Entries { probe: self, names: &[ITEM], at: 0 })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.note(Shape::Struct(fields));
        visitor.visit_map(Entries { probe: self, names: fields, at: 0 })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.note(Shape::OneOf(variants));
        visitor.visit_enum(Word(variants[self.tried() % variants.len().max(1)]))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_unit()
    }
}

/// The entries of a list, a table or a struct, one by one.
struct Entries<'a, 'n> {
    probe: Probe<'a>,
    names: &'n [&'n str],
    at: usize,
}

impl Entries<'_, '_> {
    /// The next name that has a value left.
    fn next(&mut self) -> Option<String> {
        while let Some(name) = self.names.get(self.at) {
            if self.probe.has(name) {
                return Some((*name).to_owned());
            }
            self.at += 1;
        }
        None
    }
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refusal> {
        let Some(name) = self.next() else { return Ok(None) };
        let name = if name == ITEM { "x" } else { &name };
        let key: StrDeserializer<'_, Refusal> = name.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refusal> {
        let name = self.names.get(self.at).copied().unwrap_or(ITEM);
        self.at += 1;
        seed.deserialize(self.probe.below(name))
    }
}

impl<'de> SeqAccess<'de> for Entries<'_, '_> {
    type Error = Refusal;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Refusal> {
        let Some(name) = self.next() else { return Ok(None) };
        self.at += 1;
        seed.deserialize(self.probe.below(&name)).map(Some)
    }
}

/// A variant without content.
struct Word(&'static str);

impl<'de> EnumAccess<'de> for Word {
    type Error = Refusal;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Refusal> {
        let word: StrDeserializer<'_, Refusal> = self.0.into_deserializer();
        Ok((seed.deserialize(word)?, self))
    }
}

impl<'de> VariantAccess<'de> for Word {
    type Error = Refusal;

    fn unit_variant(self) -> Result<(), Refusal> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _: S) -> Result<S::Value, Refusal> {
        Err(Refusal(None))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Refusal> {
        Err(Refusal(None))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Refusal> {
        Err(Refusal(None))
    }
}

impl de::Error for Refusal {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(None)
    }

    fn missing_field(field: &'static str) -> Self {
        Self(Some(field))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(field) => write!(formatter, "\"{field}\" is missing"),
            None => formatter.write_str("no value that was tried is legal"),
        }
    }
}

impl std::error::Error for Refusal {}
