//! What the kernel does before any code of IRIS runs: recovery, write image journal, banner, daemons.

use std::fmt::Write as _;

use rand::RngExt as _;

use crate::world::World;
use crate::world::act::{Act, Category, Daemon, Entry, Severity, Writer};
use crate::world::facts::{Previous, StartFacts};

impl World {
    pub(super) fn recovery_banner(&mut self, facts: &StartFacts) -> Vec<Act> {
        let (wij, crashed) = match &facts.previous {
            Previous::Never => return Vec::new(),
            Previous::Clean(wij) => (wij, false),
            Previous::Abnormal(wij) => (wij, true),
        };
        self.wij = wij.clone();
        let manager = self.identity.manager_directory();
        let mut text = format!(
            "\n\n\n*** Recovery started at {}\n     Current default directory: {}\n     Log file directory: {manager}\n     \
             WIJ file spec: {manager}IRIS.WIJ\nRecovering local ({manager}IRIS.WIJ) image journal file...\n\
             Starting WIJ recovery for '{manager}IRIS.WIJ'.\n  0 blocks pending in this WIJ.\n",
            facts.at.strftime("%a %b %e %H:%M:%S %Y"),
            manager.trim_end_matches('/'),
        );
        if facts.obstacles.mismatch_wij {
            text.push_str("MISMATCH.WIJ exists; skip WIJ compare\n");
        } else if crashed {
            let blocks: u32 = self.random.random_range(1..64);
            write!(
                text,
                "WIJ pass # is {}.\nStarting fast WIJ compare\nFinished comparing {blocks} blocks in 0 seconds\n",
                wij.passes
            )
            .expect("writing to a string cannot fail");
        }
        text.push_str("Exiting with status 3 (Success)\n");
        vec![Act::Banner(text)]
    }

    pub(super) fn kernel_up(&mut self, facts: &StartFacts) -> Vec<Act> {
        let manager = self.identity.manager_directory();
        let mut acts = vec![
            Entry::control("SIMD", "SIMD optimization level: AVX2").into(),
            Entry::control("WriteDaemon.UsingWIJFile", format!("Using WIJ file: {manager}IRIS.WIJ")).into(),
        ];
        if self.wij.journal_file.is_empty() {
            acts.push(
                Entry::kernel(Writer::Control, Severity::Info, "No journaling info from prior system").into(),
            );
        } else {
            let offset: u32 = self.random.random_range(131_072..8_388_608);
            let text = format!(
                "Jrn info from prior WIJ (imflags: 0):\n\twdpass: 0\n\tjrnwdpass: {}\n\tfspec: {}\n\tfilecnt: {count}\n\
                 \tfileoff: {offset}\n\tprevfcnt: {count}\n\tprevfileoeff: {offset}\n\tmin trans cnt: {count}\n\
                 \tmin trans index: {offset}",
                self.wij.passes,
                self.wij.journal_file,
                count = self.wij.journal_count,
            );
            acts.push(Entry::kernel(Writer::Control, Severity::Info, text).into());
        }
        if facts.previous == Previous::Never {
            acts.push(Entry::control("WriteDaemon.CreatingNewWIJ", "Creating a new WIJ file").into());
            acts.push(Entry::control("WriteDaemon.CreatedNewWIJ", "New WIJ file created").into());
        }
        if facts.without_startup_routine {
            let text = "InterSystems IRIS is started with NOSTU option.";
            acts.push(Entry::kernel(Writer::Control, Severity::Info, text).into());
        }
        acts.push(Entry::kernel(Writer::Control, Severity::Info, self.startup_banner(facts)).into());
        acts.push(Act::StartDaemons);
        acts.push(
            Entry {
                writer: Writer::Daemon(Daemon::WriteDaemon),
                severity: Severity::Info,
                category: Category::Other("WriteDaemon.Started"),
                text: "Write daemon started.".to_owned(),
            }
            .into(),
        );
        acts
    }

    fn startup_banner(&self, facts: &StartFacts) -> String {
        let manager = self.identity.manager_directory();
        let short = manager.trim_end_matches('/');
        let system = &facts.system;
        format!(
            "\nStartup of InterSystems IRIS [{}]\n\tin {}\n\twith mgr: {short}\n\twith wij: {short}/IRIS.WIJ\n\
             \tfrom: {manager}\n  OS=[Linux], version=[{}], release=[{}], machine=[{}]\n  nodename=[{}].\n  \
             numasyncwijbuf: 2, wdwrite_asyncio_max: 64, wijdirectio: on, synctype: 3\n  System Initialized.",
            self.identity.release.product_line(),
            self.identity.bin_directory,
            system.version,
            system.release,
            system.machine,
            system.node,
        )
    }
}
