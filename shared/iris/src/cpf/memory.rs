//! The shared memory that an instance asks the operating system for at its start (cpf.md, section 5).

use std::{fmt, str::FromStr};

use super::Document;

/// The parameters of `[config]` that decide how much shared memory an instance takes.
///
/// The figures are those of the CPF; zero stands for "IRIS decides" in `globals_mb`, `routines_mb` and `gmheap_kb`,
/// and [`with_defaults`](Self::with_defaults) puts in what IRIS would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedMemory {
    /// Database cache in MB, all block sizes together.
    pub globals_mb: u64,
    /// Routine cache in MB.
    pub routines_mb: u64,
    /// Shared memory heap in KB.
    pub gmheap_kb: u64,
    /// Journal buffers in MB.
    pub jrnbufs_mb: u64,
    /// ECP servers reachable from here.
    pub max_servers: u64,
    /// ECP clients that may connect here.
    pub max_server_conn: u64,
}

/// `[config] globals`: the database cache in MB, one figure for each block size of 2, 4, 8, 16, 32 and 64 KB; the
/// first two are always 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Globals {
    /// MB by block size.
    pub pools_mb: [u64; 6],
}

/// `[config] routines`: the routine cache in MB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routines {
    /// One figure, which IRIS spreads over its pools; 0 lets IRIS decide.
    Total(u64),
    /// MB of the pools of 2, 4, 8, 16, 32 and 64 KB buffers.
    Pools([u64; 6]),
}

/// A memory parameter that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not read memory parameter \"{name}\": \"{value}\" is not {expected}")]
pub struct InvalidMemory {
    /// The parameter.
    pub name: &'static str,
    /// What stands there.
    pub value: String,
    /// What should.
    pub expected: &'static str,
}

impl Globals {
    /// All block sizes together, in MB; 0 lets IRIS decide.
    pub fn total_mb(&self) -> u64 {
        total(&self.pools_mb)
    }
}

impl FromStr for Globals {
    type Err = InvalidMemory;

    /// Takes exactly six figures. A single one, as some examples have it, stops a real instance.
    fn from_str(value: &str) -> Result<Self, InvalidMemory> {
        match figures(value) {
            Some(pools_mb) if pools_mb[..2] == [0, 0] => Ok(Self { pools_mb }),
            _ => Err(InvalidMemory {
                name: "globals",
                value: value.to_owned(),
                expected: "six figures in MB, the first two 0",
            }),
        }
    }
}

impl fmt::Display for Globals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_figures(&self.pools_mb, formatter)
    }
}

impl Routines {
    /// All pools together, in MB; 0 lets IRIS decide.
    pub fn total_mb(&self) -> u64 {
        match self {
            Self::Total(mb) => *mb,
            Self::Pools(pools) => total(pools),
        }
    }
}

impl FromStr for Routines {
    type Err = InvalidMemory;

    fn from_str(value: &str) -> Result<Self, InvalidMemory> {
        let single = figure(value).map(Self::Total);
        single.or_else(|| figures(value).map(Self::Pools)).ok_or_else(|| InvalidMemory {
            name: "routines",
            value: value.to_owned(),
            expected: "one figure or six figures in MB",
        })
    }
}

impl fmt::Display for Routines {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Total(mb) => write!(formatter, "{mb}"),
            Self::Pools(pools) => write_figures(pools, formatter),
        }
    }
}

impl SharedMemory {
    /// What IRIS adds for itself, in MB.
    const FIXED_MB: u64 = 300;

    /// An estimate from the figures in the order of the formula; take [`total_mb`](Self::total_mb) of it.
    pub const fn estimate(
        globals_mb: u64,
        routines_mb: u64,
        gmheap_kb: u64,
        jrnbufs_mb: u64,
        max_servers: u64,
        max_server_conn: u64,
    ) -> Self {
        Self { globals_mb, routines_mb, gmheap_kb, jrnbufs_mb, max_servers, max_server_conn }
    }

    /// Reads the `[config]` section of a CPF; a parameter that is not there has the default of the reference
    /// (jrnbufs 64, MaxServers 2, MaxServerConn 1, the others 0).
    pub fn of(document: &Document) -> Result<Self, InvalidMemory> {
        let get = |name| document.get("config", name).filter(|value| !value.is_empty());
        let number = |name: &'static str, default: u64| match get(name) {
            None => Ok(default),
            Some(value) => figure(value).ok_or_else(|| InvalidMemory {
                name,
                value: value.to_owned(),
                expected: "a whole number",
            }),
        };
        Ok(Self {
            globals_mb: get("globals")
                .map_or(Ok(0), |value| value.parse().map(|it: Globals| it.total_mb()))?,
            routines_mb: get("routines")
                .map_or(Ok(0), |value| value.parse().map(|it: Routines| it.total_mb()))?,
            gmheap_kb: number("gmheap", 0)?,
            jrnbufs_mb: number("jrnbufs", 64)?,
            max_servers: number("MaxServers", 2)?,
            max_server_conn: number("MaxServerConn", 1)?,
        })
    }

    /// Puts in what IRIS takes where a figure is zero: globals a quarter of the physical memory; routines a tenth
    /// of globals, 80 to 1020 MB; gmheap 3 % of globals, 300 MB to 2 GB (more with many CPUs, which is left out).
    #[must_use]
    pub fn with_defaults(self, physical_mb: u64) -> Self {
        let or = |figure: u64, default: u64| if figure == 0 { default } else { figure };
        let globals_mb = or(self.globals_mb, physical_mb / 4);
        let routines_mb = or(self.routines_mb, (globals_mb / 10).clamp(80, 1020));
        let heap_kb = (globals_mb.saturating_mul(1024) / 100).saturating_mul(3);
        let gmheap_kb = or(self.gmheap_kb, heap_kb.clamp(300 * 1024, 2048 * 1024));
        Self { globals_mb, routines_mb, gmheap_kb, ..self }
    }

    /// The whole of it in MB, rounded up:
    /// `globals*1.08 + routines*1.02 + gmheap/1024 + jrnbufs + 2*(MaxServers+MaxServerConn) + 300`.
    /// Real starts with large caches take 1 to 2 % less, one with 32 MB of globals 36 % (504 MB for 787); the `Allocated <n>MB` line of the last start is the better figure.
    pub fn total_mb(&self) -> u64 {
        let hundred = |mb: u64| mb.saturating_mul(100);
        let servers = self.max_servers.saturating_add(self.max_server_conn).saturating_mul(2);
        let hundredths = [
            self.globals_mb.saturating_mul(108),
            self.routines_mb.saturating_mul(102),
            hundred(self.gmheap_kb).div_ceil(1024),
            hundred(self.jrnbufs_mb),
            hundred(servers),
            hundred(Self::FIXED_MB),
        ];
        total(&hundredths).div_ceil(100)
    }

    /// How many huge pages of `page_kb` (2048 on most hosts) hold it all. With fewer, IRIS uses none at all.
    /// Add a cushion of several MB when reserving.
    pub fn huge_pages(&self, page_kb: u64) -> u64 {
        huge_pages(self.total_mb(), page_kb)
    }
}

/// Bit of `[config] memlock`: no large pages are tried.
const LARGE_PAGES_DISABLED: u64 = 32;

/// Does `[config] memlock` keep the instance from huge pages? Then it uses none, however many there are.
pub fn disables_large_pages(document: &Document) -> bool {
    let memlock = document.get("config", "memlock").and_then(figure);
    memlock.is_some_and(|bits| bits & LARGE_PAGES_DISABLED != 0)
}

/// How many pages of `page_kb` hold `mb`; 0 when the host has no such pages (`page_kb` 0).
pub fn huge_pages(mb: u64, page_kb: u64) -> u64 {
    if page_kb == 0 { 0 } else { mb.saturating_mul(1024).div_ceil(page_kb) }
}

fn total(figures: &[u64]) -> u64 {
    figures.iter().fold(0, |sum, figure| sum.saturating_add(*figure))
}

fn figure(value: &str) -> Option<u64> {
    let value = value.trim();
    let digits_only = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    if digits_only { value.parse().ok() } else { None }
}

fn figures(value: &str) -> Option<[u64; 6]> {
    value.split(',').map(figure).collect::<Option<Vec<u64>>>()?.try_into().ok()
}

fn write_figures(figures: &[u64; 6], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    formatter.write_str(&figures.map(|figure| figure.to_string()).join(","))
}

#[cfg(test)]
mod tests {
    use super::{Globals, Routines, SharedMemory, huge_pages};
    use crate::cpf::Document;

    #[test]
    fn the_formula_is_close_to_real_starts_with_large_caches_and_far_above_a_small_one() {
        // The two starts of cpf.md section 5: 35,060 and 18,758 MB were really taken.
        assert_eq!(SharedMemory::estimate(32000, 512, 52 * 1024, 64, 2, 1).total_mb(), 35_505);
        assert_eq!(SharedMemory::estimate(15946, 1020, 478 * 1024, 64, 2, 1).total_mb(), 19_111);
        // The small one of the same section: 504 MB were really taken.
        assert_eq!(SharedMemory::estimate(32, 80, 300 * 1024, 64, 2, 1).total_mb(), 787);
    }

    #[test]
    fn zero_means_what_iris_would_take() {
        let memory = SharedMemory::estimate(0, 0, 0, 64, 2, 1).with_defaults(63_784);
        assert_eq!((memory.globals_mb, memory.routines_mb), (15_946, 1020));
        assert_eq!(memory.gmheap_kb / 1024, 478);
        let small = SharedMemory::estimate(0, 0, 0, 64, 2, 1).with_defaults(512);
        assert_eq!((small.globals_mb, small.routines_mb, small.gmheap_kb), (128, 80, 307_200));
        let set = SharedMemory::estimate(256, 100, 20_000, 64, 2, 1);
        assert_eq!(set.with_defaults(63_784), set);
    }

    #[test]
    fn huge_pages_hold_all_of_it() {
        assert_eq!(huge_pages(3580, 2048), 1790);
        assert_eq!(huge_pages(3581, 2048), 1791);
        assert_eq!(huge_pages(1, 1_048_576), 1);
        assert_eq!(huge_pages(100, 0), 0);
    }

    #[test]
    fn a_bit_of_memlock_keeps_an_instance_from_huge_pages() {
        let disables = |text: &str| super::disables_large_pages(&Document::parse(text.as_bytes()));
        assert!(disables("[config]\nmemlock=32\n") && disables("[config]\nmemlock=41\n"));
        for other in ["[config]\nmemlock=64\n", "[config]\nmemlock=\n", "[config]\nmemlock=x\n", "[config]\n"]
        {
            assert!(!disables(other), "{other}");
        }
    }

    #[test]
    fn figures_are_read_and_printed() {
        let globals: Globals = "0,0,256,0,8,0".parse().unwrap();
        assert_eq!((globals.total_mb(), globals.to_string().as_str()), (264, "0,0,256,0,8,0"));
        for bad in
            ["", "20000", "0,0,5", "0,0,a,0,0,0", "0,0,-1,0,0,0", "0,0,0,0,0,0,0", "0,0,99999999999999999999"]
        {
            assert!(bad.parse::<Globals>().is_err(), "{bad}");
        }
        assert_eq!("64".parse(), Ok(Routines::Total(64)));
        assert_eq!("0,8,0,24,0,32".parse::<Routines>().unwrap().total_mb(), 64);
        assert!("many".parse::<Routines>().is_err());
    }

    #[test]
    fn a_cpf_says_what_it_wants() {
        let document =
            Document::parse(b"[config]\nglobals=0,0,256,0,0,0\nroutines=64\ngmheap=37568\njrnbufs=\n");
        let memory = SharedMemory::of(&document).unwrap();
        assert_eq!(memory, SharedMemory::estimate(256, 64, 37_568, 64, 2, 1));
        let broken = Document::parse(b"[config]\ngmheap=lots\n");
        let message = SharedMemory::of(&broken).unwrap_err().to_string();
        assert_eq!(message, "could not read memory parameter \"gmheap\": \"lots\" is not a whole number");
    }
}
