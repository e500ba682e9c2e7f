//! Names that the kernel resolves for drivers: registry keys, files, devices.
// A call in C's style is often a read of a field and the call.
#![allow(clippy::multiple_unsafe_ops_per_block)]

mod machine;

use std::fs::Permissions;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use machine::{null, on};
use nt_sys::io::{
    DEVICE_OBJECT, DRIVER_OBJECT, FILE_DEVICE_NETWORK, FILE_DEVICE_SECURE_OPEN, IO_NO_INCREMENT,
    IRP, IRP_MJ_CLEANUP, IRP_MJ_CLOSE, IRP_MJ_CREATE, IRP_MJ_DEVICE_CONTROL, IoCreateDevice,
    IoCreateSymbolicLink, IoDeleteDevice, IoDeleteSymbolicLink, IoGetCurrentIrpStackLocation,
    IofCompleteRequest, device_io_control, irp_system_buffer, set_irp_outcome,
};
use nt_sys::kernel_fn;
use nt_sys::ntdef::{
    HANDLE, IO_STATUS_BLOCK, LARGE_INTEGER, NTSTATUS, OBJ_KERNEL_HANDLE, OBJECT_ATTRIBUTES,
    STATUS_ACCESS_DENIED, STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_END_OF_FILE,
    STATUS_NOT_SUPPORTED, STATUS_OBJECT_NAME_COLLISION, STATUS_OBJECT_NAME_NOT_FOUND,
    STATUS_SUCCESS, UNICODE_STRING,
};
use nt_sys::zw::{
    FILE_GENERIC_READ, FILE_OPEN, FILE_SHARE_READ, FILE_STANDARD_INFORMATION,
    FILE_SYNCHRONOUS_PLAIN, FileStandardInformation, KEY_READ, KeyValuePartialInformation,
    REG_DWORD, REG_MULTI_SZ, REG_SZ, ZwClose, ZwCreateFile, ZwOpenKey, ZwQueryInformationFile,
    ZwQueryValueKey, ZwReadFile,
};
use nthost::{Host, Options, Value};

const KEY: &str = r"\Registry\Machine\System\CurrentControlSet\Services\objects";
const DEVICE: &str = r"\Device\Reverse";
const LINK: &str = r"\??\Reverse";

/// A counted string, never freed.
fn counted(text: &str) -> *mut UNICODE_STRING {
    let units: Vec<u16> = text.encode_utf16().collect();
    let octets = u16::try_from(units.len() * 2).unwrap();
    let units = units.leak().as_mut_ptr();
    Box::leak(Box::new(UNICODE_STRING { Length: octets, MaximumLength: octets, Buffer: units }))
}

fn attributes(name: &str) -> OBJECT_ATTRIBUTES {
    OBJECT_ATTRIBUTES {
        Length: 48,
        RootDirectory: null(),
        ObjectName: counted(name),
        Attributes: OBJ_KERNEL_HANDLE,
        SecurityDescriptor: null(),
        SecurityQualityOfService: null(),
    }
}

fn close(handle: HANDLE) {
    // SAFETY: an open handle.
    assert_eq!(unsafe { ZwClose(handle) }, STATUS_SUCCESS);
}

kernel_fn! {
    unsafe fn entry(driver: *mut DRIVER_OBJECT, path: *mut UNICODE_STRING) -> NTSTATUS {
        // SAFETY: valid for the call.
        let (driver, path) = unsafe { (&mut *driver, &*path) };
        // SAFETY: as above.
        let path = unsafe { core::slice::from_raw_parts(path.Buffer, path.Length as usize / 2) };
        assert_eq!(String::from_utf16(path).unwrap(), KEY);
        driver.DriverUnload = Some(unload);
        for major in [IRP_MJ_CREATE, IRP_MJ_CLEANUP, IRP_MJ_CLOSE] {
            driver.MajorFunction[usize::from(major)] = Some(succeed);
        }
        driver.MajorFunction[usize::from(IRP_MJ_DEVICE_CONTROL)] = Some(control);
        let mut device = null();
        let mut create = |device: &mut *mut DEVICE_OBJECT| {
            let (kind, secure) = (FILE_DEVICE_NETWORK, FILE_DEVICE_SECURE_OPEN);
            // SAFETY: this driver's object, and a name that stays.
            unsafe { IoCreateDevice(driver, 0, counted(DEVICE), kind, secure, 0, device) }
        };
        assert_eq!(create(&mut device), STATUS_SUCCESS);
        assert_eq!(create(&mut null()), STATUS_OBJECT_NAME_COLLISION);
        driver.DeviceObject = device;
        let link = || {
            // SAFETY: names that stay.
            unsafe { IoCreateSymbolicLink(counted(LINK), counted(DEVICE)) }
        };
        assert_eq!(link(), STATUS_SUCCESS);
        assert_eq!(link(), STATUS_OBJECT_NAME_COLLISION);
        STATUS_SUCCESS
    }
}

kernel_fn! {
    unsafe fn unload(driver: *mut DRIVER_OBJECT) {
        let delete = || {
            // SAFETY: a name that stays.
            unsafe { IoDeleteSymbolicLink(counted(LINK)) }
        };
        assert_eq!(delete(), STATUS_SUCCESS);
        assert_eq!(delete(), STATUS_OBJECT_NAME_NOT_FOUND);
        // SAFETY: created by `entry`.
        unsafe { IoDeleteDevice((*driver).DeviceObject) };
    }
}

fn complete(irp: *mut IRP, status: NTSTATUS, information: usize) -> NTSTATUS {
    // SAFETY: the IRP that the dispatch routine was given.
    unsafe { set_irp_outcome(irp, status, information) };
    // SAFETY: as above, once.
    unsafe { IofCompleteRequest(irp, IO_NO_INCREMENT) };
    status
}

kernel_fn! {
    unsafe fn succeed(_device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
        complete(irp, STATUS_SUCCESS, 0)
    }
}

kernel_fn! {
    unsafe fn control(_device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
        // SAFETY: the IRP that this routine was given.
        let (output, input, code) = unsafe { device_io_control(IoGetCurrentIrpStackLocation(irp)) };
        if code != 1 {
            return complete(irp, STATUS_NOT_SUPPORTED, 0);
        }
        if input == 0 || output < input {
            return complete(irp, STATUS_BUFFER_TOO_SMALL, 0);
        }
        // SAFETY: METHOD_BUFFERED: one buffer of the longer of the two.
        let buffer = unsafe {
            core::slice::from_raw_parts_mut(irp_system_buffer(irp).cast::<u8>(), input as usize)
        };
        buffer.reverse();
        complete(irp, STATUS_SUCCESS, input as usize)
    }
}

fn load(host: &mut Host) {
    host.load("objects", entry).unwrap();
}

#[test]
fn a_driver_whose_entry_fails_is_not_loaded() {
    kernel_fn! {
        unsafe fn fails(_driver: *mut DRIVER_OBJECT, _path: *mut UNICODE_STRING) -> NTSTATUS {
            STATUS_ACCESS_DENIED
        }
    }
    on(Options::default(), |host| {
        assert_eq!(host.load("objects", fails), Err(STATUS_ACCESS_DENIED));
    });
}

/// ZwQueryValueKey with room for so many octets: type and data.
fn query(key: HANDLE, name: &str, room: u32) -> Result<(u32, Vec<u8>), (NTSTATUS, u32)> {
    let mut buffer = vec![0_u8; room as usize];
    let (information, mut needed) = (buffer.as_mut_ptr().cast(), 0);
    let class = KeyValuePartialInformation;
    // SAFETY: an open key, and a buffer of the size said.
    let status =
        unsafe { ZwQueryValueKey(key, counted(name), class, information, room, &raw mut needed) };
    if status != STATUS_SUCCESS {
        return Err((status, needed));
    }
    let word = |at: usize| u32::from_le_bytes(buffer[at..at + 4].try_into().unwrap());
    assert_eq!(needed, 12 + word(8));
    Ok((word(4), buffer[12..needed as usize].to_vec()))
}

#[test]
fn zw_query_value_key_reads_the_parameters_of_the_driver() {
    let value = |name: &str, value| (name.to_owned(), value);
    let registry = vec![
        value("Port", Value::Dword(80)),
        value("Port", Value::Dword(8080)),
        value("Name", Value::String("ö".to_owned())),
        value("Names", Value::MultiString(vec!["a".to_owned(), "b".to_owned()])),
    ];
    on(Options { registry, ..Options::default() }, |host| {
        load(host);
        let mut key = null();
        let mut open = |name: &str| {
            let mut attributes = attributes(name);
            // SAFETY: attributes that stay for the call.
            unsafe { ZwOpenKey(&raw mut key, KEY_READ, &raw mut attributes) }
        };
        assert_eq!(open(r"\Registry\Machine\Else"), STATUS_OBJECT_NAME_NOT_FOUND);
        assert_eq!(open(&format!(r"{KEY}\Parameters")), STATUS_SUCCESS);
        // The last of a name; names have no case.
        assert_eq!(query(key, "pORT", 64), Ok((REG_DWORD, 8080_u32.to_le_bytes().to_vec())));
        assert_eq!(query(key, "Name", 64), Ok((REG_SZ, vec![0xF6, 0, 0, 0])));
        let names = vec![b'a', 0, 0, 0, b'b', 0, 0, 0, 0, 0];
        assert_eq!(query(key, "Names", 64), Ok((REG_MULTI_SZ, names)));
        assert_eq!(query(key, "Names", 21), Err((STATUS_BUFFER_OVERFLOW, 22)));
        assert_eq!(query(key, "Names", 11), Err((STATUS_BUFFER_TOO_SMALL, 22)));
        assert_eq!(query(key, "Nobody", 64), Err((STATUS_OBJECT_NAME_NOT_FOUND, 0)));
        assert_eq!(host.ledger().items["handles"].count, 1);
        close(key);
    });
}

fn read(file: HANDLE, offset: i64, room: u32) -> Result<Vec<u8>, NTSTATUS> {
    let mut buffer = vec![0_u8; room as usize];
    let mut status = IO_STATUS_BLOCK::default();
    let mut offset = LARGE_INTEGER { QuadPart: offset };
    let (to, at) = (buffer.as_mut_ptr().cast(), &raw mut offset);
    // SAFETY: an open file, and a buffer of the size said.
    let returned =
        unsafe { ZwReadFile(file, null(), None, null(), &raw mut status, to, room, at, null()) };
    if returned != STATUS_SUCCESS {
        return Err(returned);
    }
    buffer.truncate(status.Information);
    Ok(buffer)
}

#[test]
fn zw_read_file_reads_at_an_offset_and_zw_query_information_file_knows_the_length() {
    let files = vec![(r"\??\C:\ten".to_owned(), b"0123456789".to_vec().into())];
    on(Options { files, ..Options::default() }, |host| {
        let (mut file, mut status) = (null(), IO_STATUS_BLOCK::default());
        let mut open = |name: &str| {
            let mut attributes = attributes(name);
            let (file, attributes, status) = (&raw mut file, &raw mut attributes, &raw mut status);
            let (access, share) = (FILE_GENERIC_READ, FILE_SHARE_READ);
            let (how, options) = (FILE_OPEN, FILE_SYNCHRONOUS_PLAIN);
            // SAFETY: everything stays for the call.
            unsafe {
                let size = null();
                ZwCreateFile(
                    file,
                    access,
                    attributes,
                    status,
                    size,
                    0,
                    share,
                    how,
                    options,
                    null(),
                    0,
                )
            }
        };
        assert_eq!(open(r"\??\C:\eleven"), STATUS_OBJECT_NAME_NOT_FOUND);
        assert_eq!(open(r"\??\c:\TEN"), STATUS_SUCCESS);
        let mut length = core::mem::MaybeUninit::<FILE_STANDARD_INFORMATION>::uninit();
        let (to, class) = (length.as_mut_ptr().cast(), FileStandardInformation);
        // SAFETY: an open file, and room for the structure.
        let said = unsafe { ZwQueryInformationFile(file, &raw mut status, to, 24, class) };
        assert_eq!(said, STATUS_SUCCESS);
        // SAFETY: written by the call; the union has one field.
        assert_eq!(unsafe { length.assume_init().EndOfFile.QuadPart }, 10);
        assert_eq!(read(file, 0, 4), Ok(b"0123".to_vec()));
        assert_eq!(read(file, 7, 64), Ok(b"789".to_vec()));
        assert_eq!(read(file, 10, 1), Err(STATUS_END_OF_FILE));
        assert_eq!(read(file, -1, 1), Err(STATUS_END_OF_FILE));
        assert_eq!(host.ledger().items["handles"].count, 1);
        close(file);
    });
}

#[test]
fn irp_mj_device_control_is_answered_by_the_driver_of_the_device() {
    on(Options::default(), |host| {
        let missing = STATUS_OBJECT_NAME_NOT_FOUND;
        assert_eq!(host.device_control(LINK, 1, b"abc", 3), Err(missing));
        load(host);
        assert_eq!(host.ledger().items["devices"].count, 1);
        assert_eq!(host.ledger().items["symbolic links"].count, 1);
        for name in [LINK, DEVICE, r"\??\rEVERSE"] {
            assert_eq!(host.device_control(name, 1, b"abc", 8), Ok(b"cba".to_vec()));
        }
        assert_eq!(host.device_control(LINK, 1, b"abc", 2), Err(STATUS_BUFFER_TOO_SMALL));
        assert_eq!(host.device_control(LINK, 1, b"", 2), Err(STATUS_BUFFER_TOO_SMALL));
        assert_eq!(host.device_control(LINK, 2, b"abc", 3), Err(STATUS_NOT_SUPPORTED));
        assert_eq!(host.device_control(r"\??\Else", 1, b"abc", 3), Err(missing));
    });
}

/// In a folder of its own, which is gone with it.
fn socket_path() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control");
    (folder, path)
}

fn request(device: &str, code: u32, input: &[u8], output: u32) -> Vec<u8> {
    let mut rest = vec![3];
    rest.extend(u16::try_from(device.len()).unwrap().to_le_bytes());
    rest.extend(device.as_bytes());
    rest.extend(code.to_le_bytes());
    rest.extend(output.to_le_bytes());
    rest.extend(input);
    let mut request = u32::try_from(rest.len()).unwrap().to_le_bytes().to_vec();
    request.extend(rest);
    request
}

fn answer(client: &mut UnixStream) -> (NTSTATUS, Vec<u8>) {
    let mut word = [0; 4];
    client.read_exact(&mut word).unwrap();
    let status = NTSTATUS::from_le_bytes(word);
    client.read_exact(&mut word).unwrap();
    let mut output = vec![0; u32::from_le_bytes(word) as usize];
    client.read_exact(&mut output).unwrap();
    (status, output)
}

#[test]
fn the_control_socket_carries_requests_of_other_processes() {
    let (_folder, path) = socket_path();
    // Left behind by a process that is gone.
    drop(UnixListener::bind(&path).unwrap());
    let options = Options { control_socket: Some(path.clone()), ..Options::default() };
    on(options, |host| {
        load(host);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let connect = || {
            let client = UnixStream::connect(&path).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            client
        };
        let mut client = connect();
        // Two at once, in order, on one connection.
        let mut both = request(LINK, 1, b"abc", 8);
        both.extend(request(LINK, 2, b"", 0));
        client.write_all(&both).unwrap();
        assert_eq!(answer(&mut client), (STATUS_SUCCESS, b"cba".to_vec()));
        assert_eq!(answer(&mut client), (STATUS_NOT_SUPPORTED, Vec::new()));
        client.write_all(&request(r"\??\Else", 1, b"abc", 8)).unwrap();
        assert_eq!(answer(&mut client), (STATUS_OBJECT_NAME_NOT_FOUND, Vec::new()));
        drop(client);
        // Requests that are malformed, too long or ask for too much end their connection only.
        let too_much = request(LINK, 1, b"abc", u32::MAX);
        for wrong in [&[3, 0, 0, 0, 9, 9, 9][..], &[0xFF; 4], &too_much] {
            let mut client = connect();
            client.write_all(wrong).unwrap();
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
        }
        let mut client = connect();
        client.write_all(&request(LINK, 1, b"xyz", 3)).unwrap();
        assert_eq!(answer(&mut client), (STATUS_SUCCESS, b"zyx".to_vec()));
    });
    assert!(!path.exists());
}

#[test]
fn a_control_socket_that_is_in_use_is_an_error() {
    let (_folder, path) = socket_path();
    let held = UnixListener::bind(&path).unwrap();
    let options = Options { control_socket: Some(path.clone()), ..Options::default() };
    let error = Host::start(options).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    drop(held);
    std::fs::remove_file(&path).unwrap();
    // Nor is anything removed that is no socket.
    std::fs::write(&path, "text").unwrap();
    let options = Options { control_socket: Some(path.clone()), ..Options::default() };
    assert_eq!(Host::start(options).err().unwrap().kind(), ErrorKind::AddrInUse);
    assert_eq!(std::fs::read(&path).unwrap(), b"text");
}

#[test]
fn a_control_socket_is_in_a_directory_that_is_ours_alone() {
    let (folder, _) = socket_path();
    let within = |name: &str| folder.path().join(name).join("control");
    let options = |path| Options { control_socket: Some(path), ..Options::default() };
    let start = |path| Host::start(options(path)).map(|_| ());
    on(options(within("new")), |_| {});
    let mode = std::fs::metadata(folder.path().join("new")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    on(options(within("new")), |_| {});
    for mode in [0o775, 0o770, 0o702, 0o1777] {
        let directory = folder.path().join(format!("{mode:o}"));
        std::fs::create_dir(&directory).unwrap();
        std::fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
        let refused = start(directory.join("control")).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{mode:o}: {refused}");
        assert!(!directory.join("control").exists());
    }
    std::os::unix::fs::symlink(folder.path().join("new"), folder.path().join("link")).unwrap();
    let refused = start(within("link")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    assert!(start(within("no/such")).is_err());
}

/// One client that keeps its connection keeps nobody waiting.
#[test]
fn clients_are_served_at_the_same_time() {
    let (_folder, path) = socket_path();
    let options = Options { control_socket: Some(path.clone()), ..Options::default() };
    on(options, |host| {
        load(host);
        let mut clients: Vec<UnixStream> = (0..8)
            .map(|_| {
                let client = UnixStream::connect(&path).unwrap();
                client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                client
            })
            .collect();
        for _ in 0..3 {
            for client in clients.iter_mut().rev() {
                client.write_all(&request(LINK, 1, b"abc", 8)).unwrap();
                assert_eq!(answer(client), (STATUS_SUCCESS, b"cba".to_vec()));
            }
        }
    });
}
