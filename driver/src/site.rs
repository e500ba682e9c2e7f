//! The site image in pinned memory.
use nt::{File, Passive, Pinned, PoolArc, Result, Status, Tag, WideString};
use response_cache::{Layout, Limits, Site};

/// A validated image that responses are sent from.
pub struct PinnedSite {
    image: PoolArc<Pinned>,
    layout: Layout,
}

impl PinnedSite {
    /// Reads the file into non-paged memory and validates it.
    ///
    /// # Errors
    /// What opening or reading said; `FILE_CORRUPT_ERROR` for an image that is not valid, and the
    /// reason in the log.
    // Its own frame, of a quarter of a page: whoever starts the driver has one of nearly a whole.
    #[inline(never)]
    pub fn load(passive: &Passive, path: &mut WideString) -> Result<PinnedSite> {
        let file = File::open(passive, path).inspect_err(|status| {
            nt::log(format_args!("SiteImage {path}: cannot be opened: {status}"));
        })?;
        let octets = usize::try_from(file.len(passive)?).map_err(|_| Status::INVALID_PARAMETER)?;
        if octets == 0 || octets > Limits::SERVED.image_bytes_max {
            nt::log(format_args!("SiteImage {path}: {octets} octets are not an image"));
            return Err(Status::FILE_CORRUPT_ERROR);
        }
        let image = Pinned::new(Tag::Site, octets, |buffer| file.read(passive, buffer))?;
        let layout = Layout::validate(&image, &Limits::SERVED).map_err(|invalid| {
            nt::log(format_args!("SiteImage {path}: {invalid}"));
            Status::FILE_CORRUPT_ERROR
        })?;
        Ok(PinnedSite { image: PoolArc::new(Tag::Site, image)?, layout })
    }

    /// A view to look things up in.
    #[inline]
    pub fn view(&self) -> Site<'_> {
        Site::new(&self.image, &self.layout)
    }

    /// Identifies the content.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.layout.generation()
    }

    /// The memory, to be chained into sends.
    pub fn image(&self) -> &PoolArc<Pinned> {
        &self.image
    }
}
