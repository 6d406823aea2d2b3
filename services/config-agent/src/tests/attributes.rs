use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
};

use super::{CPF, Stage};

/// A foreign owner where we are root (as in CI), else our own.
fn owner() -> (u32, u32) {
    let own = fs::metadata("/proc/self").unwrap();
    if own.uid() == 0 { (51773, 51774) } else { (own.uid(), own.gid()) }
}

/// Owner, group, mode, and every extended attribute, the access list among them.
fn attributes(path: &Path) -> (u32, u32, u32, Vec<(String, Vec<u8>)>) {
    let metadata = fs::metadata(path).unwrap();
    let mut extended: Vec<_> = xattr::list(path)
        .unwrap()
        .map(|name| {
            let value = xattr::get(path, &name).unwrap().unwrap_or_default();
            (name.to_string_lossy().into_owned(), value)
        })
        .collect();
    extended.sort();
    (metadata.uid(), metadata.gid(), metadata.mode(), extended)
}

/// `user::rw-, user:1234:r--, group::r--, mask::r--, other::---` as the kernel keeps it.
fn access_list() -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in
        [(1_u16, 6_u16, u32::MAX), (2, 4, 1234), (4, 4, u32::MAX), (16, 4, u32::MAX), (32, 0, u32::MAX)]
    {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(rights.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

#[test]
fn owner_mode_and_attributes_are_those_of_the_old_file() {
    let stage = Stage::new(CPF);
    let path = stage.path("iris.cpf");
    let (uid, gid) = owner();
    chown(&path, Some(uid), Some(gid)).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    // Not every file system of a developer's machine takes these; what it took must be kept.
    let noted = xattr::set(&path, "user.note", b"by the operator").is_ok();
    let listed = xattr::set(&path, "system.posix_acl_access", &access_list()).is_ok();
    let before = attributes(&path);
    assert_eq!((before.0, before.1), (uid, gid));
    assert!(before.3.len() >= usize::from(noted) + usize::from(listed));

    let (prepared, _) = stage.change("globals", "0,0,512,0,0,0").unwrap();
    assert_ne!(stage.cpf(), CPF);
    assert_eq!(attributes(&path), before);
    for backup in stage.others() {
        assert_eq!(attributes(&stage.path(&backup)), before, "{backup}");
    }
    stage.undo(&prepared).unwrap();
    assert_eq!((stage.cpf(), attributes(&path)), (CPF.to_vec(), before));
}

#[test]
fn unusual_modes_are_kept_too() {
    for mode in [0o600, 0o444, 0o664, 0o2640] {
        let stage = Stage::new(CPF);
        let path = stage.path("iris.cpf");
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        stage.change("globals", "0,0,512,0,0,0").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, mode);
    }
}
