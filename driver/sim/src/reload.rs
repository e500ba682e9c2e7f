//! Other generations of the site, published in the middle of a run.
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use nthost::Host;
use nthost::sim::{self, Random, fail};
use wskhttpd_abi::{IOCTL_LOAD_SITE, LoadSite, Loaded, cut, decode};

use crate::history::History;
use crate::operator::request;
use crate::site::{GENERATIONS, image};

/// NT path by which the driver opens the site image at its start.
pub(crate) const FIRST_PATH: &str = "\\??\\0.img";
/// One that is not valid.
const BROKEN_PATH: &str = "\\??\\broken.img";
/// How long the memory of what nobody uses may stay.
const GONE_WITHIN: Duration = Duration::from_secs(1);
/// Octets of pool for a site beside its image.
const BESIDE_BYTES_MAX: usize = 4_096;

/// One that is not there, and is longer than a line of the log.
fn missing_path() -> String {
    format!("\\??\\{}.img", "missing".repeat(34))
}

/// Every image there is, by path.
pub(crate) fn files() -> Vec<(String, Arc<Vec<u8>>)> {
    // Of all machines: what a host has been given stays.
    static BROKEN: LazyLock<Arc<Vec<u8>>> =
        LazyLock::new(|| Arc::new(image(0).iter().map(|octet| octet ^ 1).collect()));
    let all = (0..GENERATIONS).map(|number| (path_of(number), image(number)));
    all.chain([(BROKEN_PATH.to_owned(), BROKEN.clone())]).collect()
}

fn path_of(generation: usize) -> String {
    FIRST_PATH.replace('0', &generation.to_string())
}

/// Reloads as they come.
pub(crate) struct Reloads {
    random: Random,
    history: History,
    /// One look in so many comes with one; 0 = none does.
    one_in: usize,
    /// Published.
    pub(crate) count: u64,
}

impl Reloads {
    pub(crate) fn new(random: &Random, history: History) -> Reloads {
        let mut random = random.fork(12);
        let one_in = [0, 0, 2, 10][random.below(4)];
        Reloads { random, history, one_in, count: 0 }
    }

    /// A moment at which there may be one. `may_fail`: calls of the driver fail.
    pub(crate) fn look(&mut self, host: &Host, may_fail: bool) {
        if self.one_in > 0 && self.random.one_in(self.one_in) {
            match self.random.below(8) {
                0 => self.refuse(host, BROKEN_PATH, may_fail),
                1 => self.refuse(host, &missing_path(), may_fail),
                _ => {
                    let generation = self.random.below(GENERATIONS);
                    self.publish(host, generation, may_fail);
                }
            }
        }
    }

    /// The last one, when nobody is there: one image is left.
    pub(crate) fn settle(&mut self, host: &Host, may_fail: bool) {
        if self.one_in == 0 {
            return;
        }
        let generation = self.random.below(GENERATIONS);
        self.publish(host, generation, may_fail);
        sim::sleep(GONE_WITHIN);
        let held = host.ledger().items.get("pool WhSi").map_or(0, |item| item.octets);
        let wanted = image(self.history.current()).len();
        if held < wanted || held > wanted + BESIDE_BYTES_MAX {
            fail(&format!("{held} octets of images are held, and one of {wanted} is served"));
        }
    }

    fn publish(&mut self, host: &Host, generation: usize, may_fail: bool) {
        self.history.begin(generation);
        let loaded = load(host, &path_of(generation));
        let published = loaded.as_ref().is_ok_and(|loaded| loaded.refusal.is_empty());
        self.history.end(published);
        if !published && !may_fail {
            fail(&format!("generation {generation} is not published: {loaded:?}"));
        }
        self.count += u64::from(published);
        self.check(&loaded, may_fail);
    }

    fn refuse(&self, host: &Host, path: &str, may_fail: bool) {
        let loaded = load(host, path);
        if loaded.as_ref().is_ok_and(|loaded| loaded.refusal.is_empty()) {
            fail(&format!("{path} is published: {loaded:?}"));
        }
        self.check(&loaded, may_fail);
    }

    /// What the driver says is that the current generation is served.
    fn check(&self, loaded: &Result<Loaded, i32>, may_fail: bool) {
        match loaded {
            Ok(loaded) => {
                let image = image(self.history.current());
                if loaded.image_bytes != image.len() as u64 {
                    fail(&format!("an image of {} is served, says {loaded:?}", image.len()));
                }
            }
            Err(status) if !may_fail => fail(&format!("a request to load fails: {status:#x}")),
            Err(_) => {}
        }
    }
}

fn load(host: &Host, path: &str) -> Result<Loaded, i32> {
    let output = request(host, IOCTL_LOAD_SITE, &LoadSite { path: cut(path) })?;
    match decode(&output) {
        Some(loaded) => Ok(loaded),
        None => fail("what became of a request to load cannot be read"),
    }
}
