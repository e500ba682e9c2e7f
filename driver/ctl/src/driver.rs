//! Questions and orders to a driver, as records.
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use wskhttpd_abi::{
    Access, Beat, COUNTERS_BYTES, Counters, Health, HealthEndpoint, Holder, IOCTL_BEAT,
    IOCTL_LOAD_SITE, IOCTL_QUERY_COUNTERS, IOCTL_QUERY_HEALTH, IOCTL_QUERY_HOLDERS,
    IOCTL_QUERY_LATENCY, IOCTL_QUERY_PARAMETERS, IOCTL_QUERY_REJECTS, IOCTL_QUERY_STATE,
    IOCTL_READ_LOG, IOCTL_SET_PARAMETER, IOCTL_SWITCH_HEALTH, Latency, List, LoadSite, Loaded,
    Name, OUTPUT_BYTES_MAX, Parameter, Path, Record, Reject, Sentence, ServerState, SetParameter,
    Since, Switch, decode, encode,
};

use crate::arguments::Target;
use crate::device::{Address, DeviceError};
use crate::failure::Failure;
use crate::find;

/// What a question may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// What loading a site may take: up to 1 GiB is read, copied and validated.
const PATIENCE_LOAD: Duration = Duration::from_mins(2);
/// Octets of a record that goes to the driver at most.
const INPUT_BYTES_MAX: usize = 2048;

/// A running driver.
pub(crate) struct Driver(Address);

/// A part of a list that goes on.
pub(crate) struct Part<R> {
    /// In order.
    pub(crate) items: Vec<R>,
    /// Items before the first one that are gone.
    pub(crate) lost: u64,
    /// Where to read on.
    pub(crate) next: Since,
}

impl Driver {
    /// The one that is meant.
    pub(crate) fn find(target: &Target) -> Result<Driver, Failure> {
        find::address(target).map(Driver)
    }

    pub(crate) fn counters(&self) -> Result<Counters> {
        // A driver of another age has more or fewer counters.
        let output_bytes = OUTPUT_BYTES_MAX.max(COUNTERS_BYTES);
        let output = self.control(IOCTL_QUERY_COUNTERS, &[], output_bytes, PATIENCE)?;
        Counters::decode(&output).with_context(|| self.malformed())
    }

    pub(crate) fn state(&self) -> Result<ServerState> {
        self.query(IOCTL_QUERY_STATE)
    }

    pub(crate) fn latency(&self) -> Result<Latency> {
        self.query(IOCTL_QUERY_LATENCY)
    }

    pub(crate) fn health(&self) -> Result<Vec<HealthEndpoint>> {
        self.whole_list(IOCTL_QUERY_HEALTH)
    }

    pub(crate) fn parameters(&self) -> Result<Vec<Parameter>> {
        self.whole_list(IOCTL_QUERY_PARAMETERS)
    }

    /// Most connections first.
    pub(crate) fn holders(&self) -> Result<Vec<Holder>> {
        let output = self.control(IOCTL_QUERY_HOLDERS, &[], OUTPUT_BYTES_MAX, PATIENCE)?;
        Ok(self.list(&output)?.items)
    }

    pub(crate) fn rejects(&self, since: Since) -> Result<Part<Reject>> {
        self.part(IOCTL_QUERY_REJECTS, since)
    }

    pub(crate) fn log(&self, since: Since) -> Result<Part<Access>> {
        self.part(IOCTL_READ_LOG, since)
    }

    /// Publishes the image at an NT path.
    pub(crate) fn load(&self, path: &str) -> Result<Loaded> {
        let path = Path::from(path).map_err(|_| anyhow!("{path}: longer than 1024 octets"))?;
        let input = record(&LoadSite { path });
        let output = self.control(IOCTL_LOAD_SITE, &input, OUTPUT_BYTES_MAX, PATIENCE_LOAD)?;
        decode(&output).with_context(|| self.malformed())
    }

    pub(crate) fn switch(&self, name: &str, health: Health) -> Result<()> {
        let input = record(&Switch { name: endpoint_name(name)?, health });
        self.order_for(name, IOCTL_SWITCH_HEALTH, &input)
    }

    /// One beat; `timeout_ms` 0 = no more are expected.
    pub(crate) fn beat(&self, name: &str, timeout_ms: u32) -> Result<()> {
        let input = record(&Beat { name: endpoint_name(name)?, timeout_ms });
        self.order_for(name, IOCTL_BEAT, &input)
    }

    /// Changes a parameter.
    pub(crate) fn set(&self, name: &str, value: &str) -> Result<()> {
        let unknown = |_| Failure::Refused(format!("{name}: there is no such parameter"));
        let long = |_| Failure::Refused(format!("{name}: the value is longer than 512 octets"));
        let order = SetParameter {
            name: Name::from(name).map_err(unknown)?,
            value: Sentence::from(value).map_err(long)?,
        };
        let input = record(&order);
        let output = self.control(IOCTL_SET_PARAMETER, &input, OUTPUT_BYTES_MAX, PATIENCE)?;
        let refusal: Sentence = decode(&output).with_context(|| self.malformed())?;
        if refusal.is_empty() { Ok(()) } else { Err(Failure::Refused(refusal.to_string()).into()) }
    }

    fn query<R: Record>(&self, code: u32) -> Result<R> {
        let output = self.control(code, &[], OUTPUT_BYTES_MAX, PATIENCE)?;
        decode(&output).with_context(|| self.malformed())
    }

    fn part<R: Record>(&self, code: u32, since: Since) -> Result<Part<R>> {
        let output = self.control(code, &record(&since), OUTPUT_BYTES_MAX, PATIENCE)?;
        self.list(&output)
    }

    fn list<R: Record>(&self, output: &[u8]) -> Result<Part<R>> {
        let list = List::new(output).with_context(|| self.malformed())?;
        let items = list.items().collect::<Option<_>>().with_context(|| self.malformed())?;
        Ok(Part { items, lost: list.lost, next: list.next })
    }

    fn whole_list<R: Record>(&self, code: u32) -> Result<Vec<R>> {
        let mut items = Vec::new();
        let mut since = Since::default();
        loop {
            let part = self.part(code, since)?;
            items.extend(part.items);
            // What does not go forward would never end.
            if part.next.0 <= since.0 {
                return Ok(items);
            }
            since = part.next;
        }
    }

    fn order_for(&self, name: &str, code: u32, input: &[u8]) -> Result<()> {
        match self.0.control(code, input, 0, PATIENCE) {
            Ok(_) => Ok(()),
            Err(DeviceError::NotFound) => Err(no_such_endpoint(name).into()),
            Err(error) => Err(failure(&error).into()),
        }
    }

    fn control(
        &self,
        code: u32,
        input: &[u8],
        output_bytes: usize,
        patience: Duration,
    ) -> Result<Vec<u8>, Failure> {
        let answer = self.0.control(code, input, output_bytes, patience);
        answer.map_err(|error| failure(&error))
    }

    fn malformed(&self) -> String {
        format!("{}: the answer is malformed", self.0)
    }
}

fn failure(error: &DeviceError) -> Failure {
    match error {
        DeviceError::Gone(_) => Failure::NoServer(error.to_string()),
        _ => Failure::Refused(error.to_string()),
    }
}

fn record<R: Record>(record: &R) -> Vec<u8> {
    let mut buffer = [0; INPUT_BYTES_MAX];
    let octets = encode(record, &mut buffer).unwrap_or(0);
    buffer[..octets].to_vec()
}

/// A name that is too long is none of the site's, whose names have 64 octets at most.
fn endpoint_name(name: &str) -> Result<Name, Failure> {
    Name::from(name).map_err(|_| no_such_endpoint(name))
}

fn no_such_endpoint(name: &str) -> Failure {
    Failure::Refused(format!("{name}: the site has no such health endpoint"))
}
