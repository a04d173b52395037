//! A TCP connection to a node that can be cancelled, over any of its addresses.

use std::io;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::io::FdFlags;
use rustix::io::fcntl_setfd;
use rustix::io::ioctl_fionbio;
use rustix::net::AddressFamily;
use rustix::net::SocketType;
use rustix::net::connect;
use rustix::net::socket;
use rustix::net::sockopt;

use crate::transport::Cancel;
use crate::transport::ConnectError;
use crate::transport::hop::Family;
use crate::transport::hop::Hop;
use crate::transport::wait::Deadline;
use crate::transport::wait::Stopped;

/// Tries each address of the node in turn, and reports the failure of the last.
///
/// The socket stays non-blocking. The name is resolved by the system, which neither a limit nor a cancellation interrupts.
pub(super) fn reach(hop: &Hop, cancel: &Cancel) -> Result<OwnedFd, ConnectError> {
    let at = hop.at.clone();
    let wanted = |address: &SocketAddr| match hop.family {
        Family::Any => true,
        Family::Inet => address.is_ipv4(),
        Family::Inet6 => address.is_ipv6(),
    };
    let addresses = match (hop.host.as_str(), hop.port).to_socket_addrs() {
        Ok(addresses) => addresses.filter(wanted),
        Err(source) => return Err(ConnectError::Resolve { at, source }),
    };
    let nothing = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut failure = ConnectError::Resolve {
        at: at.clone(),
        source: nothing,
    };
    for address in addresses {
        let deadline = Deadline::new(hop.connect_timeout, cancel);
        let at = at.clone();
        failure = match try_one(address, &deadline) {
            Ok(socket) => {
                prepare(&socket, hop.keepalive * hop.unanswered);
                return Ok(socket);
            }
            Err(Stopped::Cancelled) => return Err(ConnectError::Cancelled { at }),
            Err(Stopped::TimedOut) => ConnectError::TimedOut {
                at,
                after: hop.connect_timeout,
            },
            Err(Stopped::Failed(errno)) => sort(at, errno, hop.connect_timeout),
        };
    }
    Err(failure)
}

fn sort(at: crate::transport::Host, errno: Errno, after: Duration) -> ConnectError {
    match errno {
        Errno::CONNREFUSED => ConnectError::Refused { at },
        Errno::TIMEDOUT => ConnectError::TimedOut { at, after },
        // The last three are what a firewall's REJECT and a local rule answer with.
        Errno::HOSTUNREACH
        | Errno::NETUNREACH
        | Errno::NETDOWN
        | Errno::ACCESS
        | Errno::PERM
        | Errno::CONNRESET => ConnectError::NoRoute {
            at,
            source: errno.into(),
        },
        _ => ConnectError::Socket {
            at,
            source: errno.into(),
        },
    }
}

fn try_one(address: SocketAddr, deadline: &Deadline<'_>) -> Result<OwnedFd, Stopped> {
    deadline.check()?;
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = socket(family, SocketType::STREAM, None).map_err(Stopped::Failed)?;
    fcntl_setfd(&socket, FdFlags::CLOEXEC).map_err(Stopped::Failed)?;
    ioctl_fionbio(&socket, true).map_err(Stopped::Failed)?;
    match connect(&socket, &address) {
        Ok(()) => return Ok(socket),
        Err(Errno::INPROGRESS | Errno::INTR) => {}
        Err(errno) => return Err(Stopped::Failed(errno)),
    }
    loop {
        let mut descriptors = [PollFd::new(&socket, PollFlags::OUT)];
        deadline.wait(&mut descriptors)?;
        if !descriptors[0].revents().is_empty() {
            break;
        }
    }
    sockopt::socket_error(&socket)
        .and_then(|answer| answer)
        .map_err(Stopped::Failed)?;
    Ok(socket)
}

/// What makes the connection quicker or its loss known earlier; it works without.
fn prepare(socket: &OwnedFd, patience: Duration) {
    let _ = sockopt::set_tcp_nodelay(socket, true);
    // libssh2 sends keepalives and does not wait for answers. The kernel knows whether they were acknowledged, and by default it would
    // take a quarter of an hour to give up: too long after a change that cut off ssh.
    #[cfg(target_os = "linux")]
    if let Ok(milliseconds) = u32::try_from(patience.as_millis())
        && milliseconds > 0
    {
        let _ = sockopt::set_tcp_user_timeout(socket, milliseconds);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = patience;
}
