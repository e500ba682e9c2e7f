//! A body too large to be copied: sent in parts of the image, chained and not copied.
use nt::wsk::{CHAIN_BYTES_MAX, Socket};
use nt::{Pinned, PoolArc};

use crate::batch::Batch;
use crate::server::Server;

/// Sends in flight while a large body is streamed: one on its way, one ready behind it.
const SENDS_MAX: u32 = 2;

/// The part of a large body that was not submitted yet; never empty.
pub struct Stream {
    /// What it is a part of.
    pub image: PoolArc<Pinned>,
    /// Where in the image it starts.
    pub offset: usize,
    /// How much it is.
    pub octets: usize,
}

impl Stream {
    /// Submits the next parts, the first one behind what `batch` holds, as far as they may be in
    /// flight; closes the connection when memory is short. Returns what is left then.
    #[must_use]
    pub fn go_on(
        mut self,
        server: &Server,
        socket: &mut Socket<'_, Server>,
        batch: &mut Batch,
    ) -> Option<Stream> {
        while socket.sends_in_flight() < SENDS_MAX && !socket.is_spent() && !socket.is_closing() {
            let part = self.octets.min(CHAIN_BYTES_MAX);
            let chained = batch
                .chain_room(server, socket)
                .is_some_and(|out| out.chain(&self.image, self.offset, part));
            if !chained {
                socket.close();
                break;
            }
            batch.add_octets(part);
            batch.submit_now(server, socket);
            self.octets = self.octets.saturating_sub(part);
            self.offset = self.offset.saturating_add(part);
            if self.octets == 0 {
                return None;
            }
        }
        Some(self)
    }
}
