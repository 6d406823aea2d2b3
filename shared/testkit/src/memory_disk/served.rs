//! What the kernel asks of the file system.

use std::{
    ffi::OsStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags,
    RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use super::{File, State};

/// Nothing is kept by the kernel, so that every call comes here.
const NOW: Duration = Duration::ZERO;

pub struct Served(pub Arc<Mutex<State>>);

impl Served {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, unless this call is the one that fails.
    fn enter(&self, call: &'static str) -> Result<MutexGuard<'_, State>, Errno> {
        let mut state = self.state();
        let Some(fault) = state.fault else { return Ok(state) };
        let number = state.calls;
        state.calls += 1;
        if number == fault.at || (fault.for_ever && number > fault.at) {
            state.failed.get_or_insert(call);
            return Err(Errno::from_i32(fault.errno));
        }
        Ok(state)
    }
}

impl State {
    fn attributes(&self, inode: u64) -> Option<FileAttr> {
        let (kind, mode, links, size, owner, written) = if inode == 1 {
            (FileType::Directory, 0o755, 2, 0, (0, 0), SystemTime::UNIX_EPOCH)
        } else {
            let file = self.files.get(&inode)?;
            let size = file.bytes.len() as u64;
            (FileType::RegularFile, file.mode, file.links, size, (file.uid, file.gid), file.written)
        };
        Some(FileAttr {
            ino: INodeNo(inode),
            size,
            blocks: size.div_ceil(512),
            atime: written,
            mtime: written,
            ctime: written,
            crtime: written,
            kind,
            perm: mode,
            nlink: links,
            uid: owner.0,
            gid: owner.1,
            rdev: 0,
            flags: 0,
            blksize: 4096,
        })
    }

    fn named(&self, name: &OsStr) -> Option<u64> {
        self.names.get(name.to_str()?).copied()
    }

    fn unlink(&mut self, name: &OsStr) -> bool {
        let Some(inode) = name.to_str().and_then(|name| self.names.remove(name)) else { return false };
        if let Some(file) = self.files.get_mut(&inode) {
            file.links -= 1;
        }
        true
    }
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.enter("lookup") {
            Err(errno) => reply.error(errno),
            Ok(state) => match state.named(name).and_then(|inode| state.attributes(inode)) {
                Some(attributes) => reply.entry(&NOW, &attributes, Generation(0)),
                None => reply.error(Errno::ENOENT),
            },
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.enter("getattr") {
            Err(errno) => reply.error(errno),
            Ok(state) => match state.attributes(inode.into()) {
                Some(attributes) => reply.attr(&NOW, &attributes),
                None => reply.error(Errno::ENOENT),
            },
        }
    }

    fn setattr(
        &self,
        _: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut state = match self.enter("setattr") {
            Err(errno) => return reply.error(errno),
            Ok(state) => state,
        };
        if let Some(file) = state.files.get_mut(&inode.into()) {
            file.mode = mode.map_or(file.mode, permissions);
            (file.uid, file.gid) = (uid.unwrap_or(file.uid), gid.unwrap_or(file.gid));
            if let Some(size) = size {
                file.bytes.resize(length(size), 0);
            }
        }
        match state.attributes(inode.into()) {
            Some(attributes) => reply.attr(&NOW, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.enter("open") {
            Err(errno) => reply.error(errno),
            Ok(_) => reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
        }
    }

    fn create(&self, _: &Request, _: INodeNo, name: &OsStr, mode: u32, _: u32, _: i32, reply: ReplyCreate) {
        let mut state = match self.enter("create") {
            Err(errno) => return reply.error(errno),
            Ok(state) => state,
        };
        state.last_inode += 1;
        let inode = state.last_inode;
        let mode = permissions(mode);
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        state.files.insert(inode, File { bytes: Vec::new(), mode, uid: 0, gid: 0, written, links: 1 });
        state.names.insert(text(name).to_owned(), inode);
        let attributes = state.attributes(inode).expect("made above");
        reply.created(&NOW, &attributes, Generation(0), FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let state = match self.enter("read") {
            Err(errno) => return reply.error(errno),
            Ok(state) => state,
        };
        let bytes = state.files.get(&inode.into()).map_or(&[][..], |file| &file.bytes);
        let from = length(offset).min(bytes.len());
        let to = (from + size as usize).min(bytes.len());
        reply.data(&bytes[from..to]);
    }

    fn write(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut state = match self.enter("write") {
            Err(errno) => return reply.error(errno),
            Ok(state) => state,
        };
        let Some(file) = state.files.get_mut(&inode.into()) else { return reply.error(Errno::ENOENT) };
        let from = length(offset);
        // A disk that fails may have taken a part: the beginning of a write stays, whatever comes of the rest.
        file.bytes.resize(file.bytes.len().max(from + data.len()), 0);
        file.bytes[from..from + data.len()].copy_from_slice(data);
        reply.written(u32::try_from(data.len()).expect("the kernel sends less than 4 GiB"));
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        match self.enter("fsync") {
            Err(errno) => reply.error(errno),
            Ok(_) => reply.ok(),
        }
    }

    /// Not one of the calls that are counted: a program that another thread starts closes all files once more, when it likes.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        match self.enter("fsyncdir") {
            Err(errno) => reply.error(errno),
            Ok(_) => reply.ok(),
        }
    }

    fn unlink(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        match self.enter("unlink") {
            Err(errno) => reply.error(errno),
            Ok(mut state) => {
                if state.unlink(name) {
                    reply.ok();
                } else {
                    reply.error(Errno::ENOENT);
                }
            }
        }
    }

    fn rename(
        &self,
        _: &Request,
        _: INodeNo,
        name: &OsStr,
        _: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let mut state = match self.enter(if flags.is_empty() { "rename" } else { "rename2" }) {
            Err(errno) => return reply.error(errno),
            Ok(state) => state,
        };
        if state.plain && !flags.is_empty() {
            return reply.error(Errno::EINVAL);
        }
        let Some(inode) = state.named(name) else { return reply.error(Errno::ENOENT) };
        let other = state.named(new_name);
        if flags.contains(RenameFlags::RENAME_EXCHANGE) {
            let Some(other) = other else { return reply.error(Errno::ENOENT) };
            state.names.insert(text(name).to_owned(), other);
            state.names.insert(text(new_name).to_owned(), inode);
            return reply.ok();
        }
        if flags.contains(RenameFlags::RENAME_NOREPLACE) && other.is_some() {
            return reply.error(Errno::EEXIST);
        }
        state.unlink(new_name);
        state.names.remove(text(name));
        state.names.insert(text(new_name).to_owned(), inode);
        reply.ok();
    }

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.enter("opendir") {
            Err(errno) => reply.error(errno),
            Ok(_) => reply.opened(FileHandle(0), FopenFlags::empty()),
        }
    }

    fn readdir(&self, _: &Request, _: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let state = match self.enter("readdir") {
            Err(errno) => return reply.error(errno),
            Ok(state) => state,
        };
        let skipped = length(offset);
        for (at, (name, inode)) in state.names.iter().enumerate().skip(skipped) {
            if reply.add(INodeNo(*inode), at as u64 + 1, FileType::RegularFile, name) {
                break;
            }
        }
        reply.ok();
    }

    fn listxattr(&self, _: &Request, _: INodeNo, size: u32, reply: ReplyXattr) {
        match self.enter("listxattr") {
            Err(errno) => reply.error(errno),
            Ok(_) if size == 0 => reply.size(0),
            Ok(_) => reply.data(&[]),
        }
    }

    fn getxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, reply: ReplyXattr) {
        reply.error(Errno::ENODATA);
    }
}

fn text(name: &OsStr) -> &str {
    name.to_str().expect("the product names its files in UTF-8")
}

fn length(bytes: u64) -> usize {
    usize::try_from(bytes).expect("it lies in memory")
}

fn permissions(mode: u32) -> u16 {
    u16::try_from(mode & 0o7777).expect("twelve bits")
}
