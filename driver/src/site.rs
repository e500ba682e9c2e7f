//! The site image in pinned memory.
use core::fmt::{Arguments, Write as _};

use nt::{File, Passive, Pinned, PoolArc, Result, Rights, Status, Tag, WideString};
use response_cache::{HEALTH_NAMES_MAX, Layout, Limits, Site};
use wskhttpd_abi::{Health, Sentence};

use crate::health::{HealthTable, Places};

/// A validated image that responses are sent from.
pub struct PinnedSite {
    image: PoolArc<Pinned>,
    layout: Layout,
    /// Of its health endpoints.
    places: Places,
}

impl PinnedSite {
    /// Reads the file into non-paged memory and validates it; `why` is said when that fails.
    ///
    /// # Errors
    /// What opening or reading said; `FILE_CORRUPT_ERROR` for an image that is not valid.
    // Its own frame, of a quarter of a page: whoever starts the driver has one of nearly a whole.
    #[inline(never)]
    pub fn load(
        passive: &Passive,
        path: &mut WideString,
        rights: Rights,
        why: &mut Sentence,
    ) -> Result<PinnedSite> {
        let file = File::open(passive, path, rights)
            .map_err(|status| refuse(why, status, format_args!("cannot be opened: {status}")))?;
        let failed = |why: &mut Sentence, status| {
            refuse(why, status, format_args!("cannot be read: {status}"))
        };
        let octets = file.len(passive).map_err(|status| failed(why, status))?;
        let octets = usize::try_from(octets).unwrap_or(usize::MAX);
        let max = Limits::SERVED.image_bytes_max;
        if octets == 0 || octets > max {
            let corrupt = Status::FILE_CORRUPT_ERROR;
            let why = refuse(
                why,
                corrupt,
                format_args!("{octets} octets are not an image, which has 1 to {max}"),
            );
            return Err(why);
        }
        let image = Pinned::new(Tag::Site, octets, |buffer| file.read(passive, buffer));
        let image = image.map_err(|status| failed(why, status))?;
        let layout = Layout::validate(&image, &Limits::SERVED).map_err(|invalid| {
            refuse(why, Status::FILE_CORRUPT_ERROR, format_args!("{invalid}"))
        })?;
        let image = PoolArc::new(Tag::Site, image).map_err(|status| failed(why, status))?;
        Ok(PinnedSite { image, layout, places: [0; HEALTH_NAMES_MAX] })
    }

    /// A processor's own: the same, with counts of references that others do not write. Where
    /// memory is short it is the very same.
    pub fn copy(site: &PoolArc<PinnedSite>) -> PoolArc<PinnedSite> {
        let image = PoolArc::new(Tag::Site, site.image.share());
        let copy = |image| PinnedSite { image, layout: site.layout, places: site.places };
        let copied = image.and_then(|image| PoolArc::new(Tag::Site, copy(image)));
        copied.unwrap_or_else(|_| site.clone())
    }

    /// A view to look things up in.
    #[inline]
    pub fn view(&self) -> Site<'_> {
        Site::new(&self.image, &self.layout)
    }

    /// Before it is published: the names of its health endpoints get their places in `table`, which
    /// is the one that [`PinnedSite::health`] will be asked with.
    pub fn adopt(&mut self, table: &HealthTable) {
        self.places = table.adopt(self.view());
    }

    /// What a health endpoint of this site answers now.
    pub fn health(&self, table: &HealthTable, number: usize) -> Health {
        table.answered(&self.places, number)
    }

    /// The memory, to be chained into sends.
    pub fn image(&self) -> &PoolArc<Pinned> {
        &self.image
    }
}

#[inline(never)]
fn refuse(why: &mut Sentence, status: Status, reason: Arguments<'_>) -> Status {
    // What is too long is cut: there is nothing behind it.
    let _ = why.write_fmt(reason);
    status
}
