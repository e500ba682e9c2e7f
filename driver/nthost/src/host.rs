//! Starting, loading a driver, unloading.
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nt_sys::io::DRIVER_OBJECT;
use nt_sys::ntdef::{NT_SUCCESS, NTSTATUS, PVOID, UNICODE_STRING};
use parking_lot::Mutex;

use crate::control::ControlSocket;
use crate::ledger::Ledger;
use crate::loader::LoadError;
use crate::loader::image::Image;
use crate::loader::mapping::Mapping;
use crate::nt::security::Caller;
use crate::nt::{
    device, etw, event_log, handle, irp, lock_order, lookaside, mdl, pool, thread, timer,
};
use crate::processor::Processor;
use crate::sim::{self, world};
use crate::wsk;

/// Longest wait of a driver unless said otherwise.
const WAIT_MAX: Duration = Duration::from_secs(90);

/// A registry value.
#[derive(Clone, Debug)]
pub enum Value {
    /// REG_DWORD.
    Dword(u32),
    /// REG_SZ.
    String(String),
    /// REG_MULTI_SZ.
    MultiString(Vec<String>),
}

/// The machine to be.
#[allow(clippy::struct_excessive_bools)] // independent facts
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Processors, at least 1.
    pub processors: usize,
    /// The driver's parameters; the last of a name wins.
    pub registry: Vec<(String, Value)>,
    /// Files by NT path, such as `\??\C:\file`.
    pub files: Vec<(String, Arc<Vec<u8>>)>,
    /// This machine's files exist, too: `/file` as `\??\/file`.
    pub own_files: bool,
    /// Unix socket through which other processes reach devices; see `control.rs`.
    pub control_socket: Option<PathBuf>,
    /// What the driver prints goes to stderr too.
    pub log: bool,
    /// Somebody listens to the driver's tracing: all of its events are kept, and go to stderr too.
    pub trace: bool,
    /// A provider that serves by IRP only and has little besides: it refuses event callbacks and
    /// chained MDLs, and cannot end one side of a connection.
    pub irp_only: bool,
    /// Exports that MmGetSystemRoutineAddress does not find.
    pub absent: Vec<String>,
    /// Longest wait of the driver, 90 s when zero; one that is longer is reported as a hang.
    pub wait_max: Duration,
}

/// Why a driver's image does not run.
#[derive(Debug)]
pub enum LoadFailure {
    /// It is not an image that this host can load.
    Image(LoadError),
    /// There is no room for it.
    Memory(io::Error),
    /// Its entry returned a failure.
    Entry(NTSTATUS),
}

/// `DriverEntry`.
pub type DriverEntry =
    unsafe extern "win64" fn(*mut DRIVER_OBJECT, *mut UNICODE_STRING) -> NTSTATUS;

/// What exports need to know of the machine they are on.
pub(crate) struct State {
    /// Threads; none on a simulated machine.
    pub(crate) processors: Vec<Processor>,
    pub(crate) processor_count: usize,
    pub(crate) registry: Vec<(String, Value)>,
    pub(crate) files: Mutex<Vec<(String, Arc<Vec<u8>>)>>,
    pub(crate) own_files: bool,
    pub(crate) wait_max: Duration,
    pub(crate) trace: bool,
    pub(crate) irp_only: bool,
    pub(crate) absent: Vec<String>,
    service: std::sync::OnceLock<String>,
}

impl State {
    pub(crate) fn processor(&self, index: usize) -> &Processor {
        &self.processors[index % self.processors.len()]
    }

    fn service_path(&self) -> String {
        let name = self.service.get().map_or("", String::as_str);
        format!("\\Registry\\Machine\\System\\CurrentControlSet\\Services\\{name}")
    }

    pub(crate) fn parameters_path(&self) -> String {
        format!("{}\\Parameters", self.service_path())
    }
}

static STATE: AtomicPtr<State> = AtomicPtr::new(core::ptr::null_mut());

/// The machine; there is one from the first start to the end of the process.
pub(crate) fn state() -> &'static State {
    let state = STATE.load(Ordering::Acquire);
    assert!(!state.is_null(), "an export was called before Host::start");
    // SAFETY: set by `Host::start` to a box that is never freed.
    unsafe { &*state }
}

/// A running machine. One per process at a time.
pub struct Host {
    threads: Vec<JoinHandle<()>>,
    driver: Option<&'static mut DRIVER_OBJECT>,
    image: Option<Mapping>,
    control: Option<ControlSocket>,
}

impl Host {
    /// Starts the processors.
    ///
    /// # Errors
    /// Of the operating system, such as `AddrInUse` for a control socket of another process.
    pub fn start(options: Options) -> io::Result<Host> {
        // First, for it may fail, and then nothing has happened.
        let control = options.control_socket.map(ControlSocket::start).transpose()?;
        crate::exports::keep();
        crate::log::start(options.log, options.trace);
        reset();
        let processor_count = options.processors.max(1);
        let threads = if world::is_on() { 0 } else { processor_count };
        let processors = (0..threads).map(Processor::new);
        let state = State {
            processors: processors.collect::<io::Result<_>>()?,
            processor_count,
            registry: options.registry,
            files: Mutex::new(options.files),
            own_files: options.own_files,
            wait_max: Some(options.wait_max).filter(|max| !max.is_zero()).unwrap_or(WAIT_MAX),
            trace: options.trace,
            irp_only: options.irp_only,
            absent: options.absent,
            service: std::sync::OnceLock::new(),
        };
        let state: &'static State = Box::leak(Box::new(state));
        STATE.store(core::ptr::from_ref(state).cast_mut(), Ordering::Release);
        let mut threads = Vec::new();
        for (index, processor) in state.processors.iter().enumerate() {
            let thread = std::thread::Builder::new().name(format!("processor {index}"));
            threads.push(thread.spawn(move || processor.run())?);
        }
        Ok(Host { threads, driver: None, image: None, control })
    }

    /// Calls the driver's entry.
    ///
    /// # Errors
    /// The status that the entry returned.
    pub fn load(&mut self, name: &str, entry: DriverEntry) -> Result<(), NTSTATUS> {
        self.call_entry(name, entry, (core::ptr::null_mut(), 0))
    }

    fn call_entry(
        &mut self,
        name: &str,
        entry: DriverEntry,
        (start, size): (PVOID, u32),
    ) -> Result<(), NTSTATUS> {
        // The first name stays: the registry belongs to one driver.
        let _ = state().service.set(name.to_owned());
        let mut path: Vec<u16> = state().service_path().encode_utf16().collect();
        let octets = u16::try_from(path.len() * 2).unwrap_or(u16::MAX);
        let mut path =
            UNICODE_STRING { Length: octets, MaximumLength: octets, Buffer: path.as_mut_ptr() };
        // SAFETY: every field is plain data for which zero is valid.
        let object: DRIVER_OBJECT = unsafe { core::mem::zeroed() };
        // Never freed: devices refer to it.
        let object = Box::leak(Box::new(object));
        object.Type = 4;
        object.DriverStart = start;
        object.DriverSize = size;
        // SAFETY: as the I/O manager does: PASSIVE_LEVEL, a new object, the service's path.
        let status = unsafe { entry(object, &raw mut path) };
        sim::interrupt::disarm();
        if !NT_SUCCESS(status) {
            sim::check_quiet("DriverEntry");
            return Err(status);
        }
        self.driver = Some(object);
        Ok(())
    }

    /// Maps the image of a driver and calls its entry.
    ///
    /// # Errors
    /// [`LoadFailure`]: the image cannot be loaded, or its entry returned a failure.
    pub fn load_image(&mut self, name: &str, file: &[u8]) -> Result<(), LoadFailure> {
        let mapping = map(file)?;
        let (entry, range) = (mapping.entry(), mapping.range());
        sim::interrupt::image_is_at(range.0.addr()..range.0.addr() + range.1 as usize);
        let loaded = self.call_entry(name, entry, range).map_err(LoadFailure::Entry);
        self.image = Some(mapping);
        loaded
    }

    /// Maps the image of a driver, binds its imports and takes it away again: what
    /// [`Host::load_image`] does before anything of the image runs. It needs no machine.
    ///
    /// # Errors
    /// [`LoadFailure`]: the image cannot be loaded.
    pub fn check_image(file: &[u8]) -> Result<(), LoadFailure> {
        map(file).map(Mapping::unmap)
    }

    /// The priorities that the driver gave to its threads.
    pub fn thread_priorities(&self) -> Vec<i32> {
        crate::nt::thread::priorities()
    }

    /// Addresses that listening sockets are bound to.
    pub fn listening(&self) -> Vec<SocketAddr> {
        wsk::listener::addresses()
    }

    /// Opens a device by name or link for reading and writing, makes one METHOD_BUFFERED request,
    /// closes it.
    ///
    /// # Errors
    /// The status that the driver, or opening the device, returned.
    pub fn device_control(
        &self,
        device: &str,
        code: u32,
        input: &[u8],
        output_len: usize,
    ) -> Result<Vec<u8>, NTSTATUS> {
        device::control(Caller::Administrator, device, device::ACCESS_BOTH, code, input, output_len)
    }

    /// As [`Host::device_control`], with a handle that is open for reading only.
    ///
    /// # Errors
    /// As there; `STATUS_ACCESS_DENIED` for a code that needs more.
    pub fn device_query(
        &self,
        device: &str,
        code: u32,
        input: &[u8],
        output_len: usize,
    ) -> Result<Vec<u8>, NTSTATUS> {
        device::control(Caller::Administrator, device, device::ACCESS_READ, code, input, output_len)
    }

    /// As [`Host::device_control`], by somebody.
    ///
    /// # Errors
    /// As there; `STATUS_ACCESS_DENIED` for whom the device's descriptor does not admit.
    pub fn device_control_by(
        &self,
        caller: Caller,
        device: &str,
        code: u32,
        input: &[u8],
        output_len: usize,
    ) -> Result<Vec<u8>, NTSTATUS> {
        device::control(caller, device, device::ACCESS_BOTH, code, input, output_len)
    }

    /// The security descriptor that a device, by its name, was given, in SDDL; `None` when it was
    /// given none.
    pub fn device_sddl(&self, device: &str) -> Option<String> {
        device::sddl(device)
    }

    /// Puts a file at an NT path, in place of what was there.
    pub fn put_file(&self, path: &str, octets: Vec<u8>) {
        let mut files = state().files.lock();
        files.retain(|(known, _)| !known.eq_ignore_ascii_case(path));
        files.push((path.to_owned(), octets.into()));
    }

    /// What the driver holds.
    pub fn ledger(&self) -> Ledger {
        ledger()
    }

    /// The transport under every listening socket goes away: the client is told by an accept event
    /// without a socket, and can only close the listener.
    pub fn lose_listeners(&self) {
        wsk::listener::lose();
    }

    /// What the driver printed, oldest first, each line with its end.
    pub fn log(&self) -> Vec<String> {
        crate::log::last(usize::MAX)
    }

    /// What the driver wrote to the event log, oldest first: `CODE STATUS: TEXT`.
    pub fn event_log(&self) -> Vec<String> {
        event_log::lines()
    }

    /// Unloads the driver if one is loaded, stops the processors, and says what is left.
    pub fn unload(mut self) -> Ledger {
        if let Some(control) = self.control.take() {
            control.stop();
        }
        if let Some(object) = self.driver.take()
            && let Some(unload) = object.DriverUnload
        {
            // SAFETY: as the I/O manager does: PASSIVE_LEVEL, once, no handle open.
            unsafe { unload(object) };
            sim::interrupt::disarm();
            sim::check_quiet("DriverUnload");
        }
        state().processors.iter().for_each(Processor::stop);
        for thread in self.threads.drain(..) {
            // A panic in a processor has been printed; the ledger shows what it left.
            let _ = thread.join();
        }
        // Nothing of the image runs any more.
        if let Some(image) = self.image.take() {
            image.unmap();
        }
        ledger()
    }
}

fn map(file: &[u8]) -> Result<Mapping, LoadFailure> {
    let image = Image::parse(file).map_err(LoadFailure::Image)?;
    Mapping::new(&image).map_err(LoadFailure::Memory)
}

fn reset() {
    pool::reset();
    irp::reset();
    timer::reset();
    lock_order::reset();
    handle::reset();
    thread::reset();
    device::reset();
    etw::reset();
    event_log::reset();
    lookaside::LISTS.clear();
    mdl::MDLS.clear();
    wsk::reset();
}

fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    pool::enter(&mut ledger);
    irp::enter(&mut ledger);
    timer::ARMED.enter(&mut ledger);
    handle::enter(&mut ledger);
    thread::enter(&mut ledger);
    device::enter(&mut ledger);
    etw::enter(&mut ledger);
    event_log::enter(&mut ledger);
    lookaside::LISTS.enter(&mut ledger);
    mdl::MDLS.enter(&mut ledger);
    wsk::enter(&mut ledger);
    ledger
}
