//! The wrappers over NT's objects, each by itself, on a simulated machine: what they promise, also
//! at their bounds, and that nothing of them is left in the end.
#![forbid(unsafe_code)]

mod machine;
mod memory;
mod outside;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nt::driver::{Driver, Request, entry};
use nt::{Passive, RegistryKey, Result, Status};
use nthost::{Host, Options, sim};

/// Processors of the machine.
const PROCESSORS: usize = 3;
const SERVICE: &str = "objects";
const DEVICE: &str = r"\Device\Objects";
const LINK: &str = r"\??\Objects";

/// What a driver's entry does here, and what is held until it is unloaded.
type Check = Box<dyn FnOnce(&Passive, &RegistryKey) -> Result<Held> + Send>;
type Held = Box<dyn Send + Sync>;

/// What the next driver is to do; what it panicked with.
static CHECK: Mutex<Option<Check>> = Mutex::new(None);
static PANIC: Mutex<Option<Box<dyn std::any::Any + Send>>> = Mutex::new(None);
/// There is one machine at a time.
static ONE: Mutex<()> = Mutex::new(());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whatever the check makes it.
struct Probe(Held);

impl Driver for Probe {
    const DEVICE_NAME: &'static str = DEVICE;
    const DEVICE_LINK: &'static str = LINK;

    fn start(passive: &Passive, parameters: Option<&RegistryKey>) -> Result<Probe> {
        let check = lock(&CHECK).take().expect("a check");
        let parameters = parameters.expect("the service has parameters");
        // A panic cannot go through the kernel.
        match catch_unwind(AssertUnwindSafe(|| check(passive, parameters))) {
            Ok(held) => held.map(Probe),
            Err(panic) => {
                *lock(&PANIC) = Some(panic);
                Err(Status::UNSUCCESSFUL)
            }
        }
    }

    fn stop(self, _passive: &Passive) {
        drop(self.0);
    }

    fn control(&self, _passive: &Passive, request: &mut Request<'_>) -> Result<usize> {
        outside::control(request)
    }
}

/// Runs the check in the entry of a driver, and `look` while it is loaded; nothing may be left.
fn run_with(
    options: Options,
    check: impl FnOnce(&Passive, &RegistryKey) -> Result<Held> + Send + 'static,
    look: impl FnOnce(&Host, std::result::Result<(), i32>) + 'static,
) {
    let _one = lock(&ONE);
    *lock(&CHECK) = Some(Box::new(check));
    let machine = sim::Options { processors: PROCESSORS, ..sim::Options::default() };
    sim::run(machine, &sim::nobody(), move || {
        let options = Options { processors: PROCESSORS, ..options };
        let mut host = Host::start(options).unwrap();
        let loaded = host.load(SERVICE, entry::<Probe>);
        if let Some(panic) = lock(&PANIC).take() {
            resume_unwind(panic);
        }
        look(&host, loaded);
        let ledger = host.unload();
        assert!(ledger.is_zero(), "{ledger}");
    });
}

/// Runs the check in the entry of a driver.
fn run(check: impl FnOnce(&Passive) + Send + 'static) {
    run_on(Options::default(), |passive, _| check(passive));
}

/// The same on a machine of its own kind, with the service's parameters.
fn run_on(options: Options, check: impl FnOnce(&Passive, &RegistryKey) + Send + 'static) {
    let check = |passive: &Passive, key: &RegistryKey| {
        check(passive, key);
        Ok(Box::new(()) as Held)
    };
    run_with(options, check, |_, loaded| assert_eq!(loaded, Ok(())));
}

/// A machine without these functions, as older kernels are.
fn without(absent: &[&str]) -> Options {
    Options { absent: absent.iter().map(|&name| name.into()).collect(), ..Options::default() }
}
