use super::{HostMemory, ProposalError, propose};
use crate::cpf_parameter::parameter;
use crate::kernel_parameter::kernel_parameter;
use crate::remedy::remedy_for;

const PANIC: &str = "Insufficient global buffers - WRTDMN in panic mode";
const HUGE: &str =
    "Failed to allocate 3580MB shared memory using Huge Pages.  Startup will retry with standard pages.";

fn two_mb_pages(physical_mb: Option<u64>) -> HostMemory {
    HostMemory { huge_page_kb: 2048, physical_mb }
}

fn globals(present: Option<&str>, physical_mb: Option<u64>) -> Result<String, ProposalError> {
    let remedy = remedy_for("global-buffers-insufficient").unwrap();
    propose(remedy, PANIC, present, two_mb_pages(physical_mb)).map(|change| change.new_value.unwrap())
}

fn pages(text: &str, present: Option<&str>, memory: HostMemory) -> Result<String, ProposalError> {
    let remedy = remedy_for("huge-pages-too-few").unwrap();
    propose(remedy, text, present, memory).map(|change| change.new_value.unwrap())
}

#[test]
fn the_8_kb_pool_is_doubled_and_the_others_stay() {
    let grown = globals(Some("0,0,256,0,64,0"), None).unwrap();
    assert_eq!(grown, "0,0,512,0,64,0");
    parameter("config", "globals").unwrap().check(&grown).unwrap();
}

#[test]
fn the_pool_stops_at_the_bound_and_is_not_grown_beyond_it() {
    assert_eq!(globals(Some("0,0,40000,0,0,0"), None).unwrap(), "0,0,65536,0,0,0");
    assert!(matches!(globals(Some("0,0,65536,0,0,0"), None), Err(ProposalError::AboveBound { .. })));
    // Half of 8000 MB is the nearer bound.
    assert_eq!(globals(Some("0,0,3000,0,0,0"), Some(8000)).unwrap(), "0,0,4000,0,0,0");
    let error = globals(Some("0,0,4000,0,0,0"), Some(8000)).unwrap_err();
    assert_eq!(error, ProposalError::AboveBound { needed: 8000, bound: 4000, unit: "MB" });
}

#[test]
fn automatic_pools_are_doubled_only_when_the_memory_is_known() {
    assert_eq!(globals(Some("0,0,0,0,0,0"), None), Err(ProposalError::AutomaticPools));
    assert_eq!(globals(Some("0,0,0,0,0,0"), Some(16_000)).unwrap(), "0,0,8000,0,0,0");
}

#[test]
fn what_is_not_known_is_not_guessed() {
    assert!(matches!(globals(None, None), Err(ProposalError::PresentValueUnknown { .. })));
    assert!(matches!(globals(Some("0,0,0,0,512,0"), None), Err(ProposalError::OtherPoolsInUse { .. })));
    for odd in
        ["", "256", "0,0,256,0,0", "0,0,256,0,0,0,0", "0,0,-1,0,0,0", "0, 0,256,0,0,0", "0,0,0256,0,0,0"]
    {
        assert!(
            matches!(globals(Some(odd), None), Err(ProposalError::PresentValueUnreadable { .. })),
            "{odd}"
        );
    }
}

#[test]
fn huge_pages_follow_the_megabytes_in_the_message() {
    // Documented: 3580 MB need at least 1791 pages of 2 MB; ours adds 16 MB.
    let needed = pages(HUGE, Some("0"), two_mb_pages(None)).unwrap();
    assert_eq!(needed, "1798");
    kernel_parameter("vm.nr_hugepages").unwrap().check(&needed).unwrap();
    assert_eq!(pages(HUGE, Some("1790"), two_mb_pages(Some(8192))).unwrap(), "1798");
    let large = HostMemory { huge_page_kb: 524_288, physical_mb: None };
    assert_eq!(pages(HUGE, Some("0"), large).unwrap(), "8");
}

#[test]
fn huge_pages_are_refused_where_they_would_not_help() {
    let error = pages(HUGE, Some("1798"), two_mb_pages(None)).unwrap_err();
    assert_eq!(error, ProposalError::AlreadyEnough { present: 1798, needed: 1798 });
    let error = pages(HUGE, Some("0"), two_mb_pages(Some(4096))).unwrap_err();
    assert_eq!(error, ProposalError::AboveBound { needed: 1798, bound: 1536, unit: "huge pages" });
    let none = HostMemory { huge_page_kb: 0, physical_mb: None };
    assert_eq!(pages(HUGE, Some("0"), none), Err(ProposalError::HugePageSizeUnknown));
    for text in
        ["", "Failed to allocate MB shared memory", "Failed to allocate 99999999999999999999MB shared memory"]
    {
        assert_eq!(
            pages(text, Some("0"), two_mb_pages(None)),
            Err(ProposalError::NoMegabytesInText),
            "{text}"
        );
    }
    let endless = format!("Failed to allocate {}MB shared memory", u64::MAX);
    assert_eq!(pages(&endless, Some("0"), two_mb_pages(None)), Err(ProposalError::NoMegabytesInText));
}

#[test]
fn a_restart_sets_no_value() {
    let remedy = remedy_for("write-daemon-died").unwrap();
    let change =
        propose(remedy, "Daemon WRTDMN (pid 4411) died. Freezing system", None, two_mb_pages(None)).unwrap();
    assert_eq!(change.new_value, None);
}
