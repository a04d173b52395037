//! A TCP connection from another network namespace.

use std::fs::File;
use std::io::BufRead as _;
use std::io::BufReader;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::thread::LinkNameSpaceType;
use rustix::thread::move_into_link_name_space;

/// How long a connection, and then its answer, is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether a connection from a network namespace gets a line as its answer: a port that is open without a service behind it, such as
/// docker-proxy's, gives none.
pub fn answers(namespace: &Path, to: SocketAddr) -> bool {
    let file = File::open(namespace).unwrap_or_else(|e| panic!("{}: {e}", namespace.display()));
    // A namespace is a thread's own, and goes with it.
    let asking = thread::spawn(move || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("root may enter a network");
        let Ok(stream) = TcpStream::connect_timeout(&to, PATIENCE) else {
            return false;
        };
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a setting of a socket");
        let mut line = Vec::new();
        BufReader::new(stream).read_until(b'\n', &mut line).is_ok() && line.ends_with(b"\n")
    });
    asking.join().expect("a probe")
}
