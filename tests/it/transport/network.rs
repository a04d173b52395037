//! Nodes that can't be reached.

use std::io::Write;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::thread;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

use fwdeploy::transport::Cancel;
use fwdeploy::transport::Client;
use fwdeploy::transport::ConnectError;
use fwdeploy::transport::ConnectOptions;
use fwdeploy::transport::Destination;
use fwdeploy::transport::HostKeyChecking;
use fwdeploy::transport::RunError;
use fwdeploy::transport::SshConfig;
use fwdeploy::transport::SystemTransport;
use fwdeploy::transport::Transport;
use rustix::net::AddressFamily;
use rustix::net::SocketType;

use crate::transport::raw::Raw;
use crate::transport::raw::string;
use crate::transport::sshd::Nobody;
use crate::transport::sshd::destination;
use crate::transport::sshd::free_port;
use crate::transport::sshd::keygen;
use crate::transport::sshd::refusal;

fn connect(destination: &Destination, cancel: &Cancel) -> ConnectError {
    let settings = ConnectOptions {
        ssh_config: SshConfig::None,
        client: Client::Own,
        arguments: Default::default(),
        node_arguments: Default::default(),
        host_key_checking: HostKeyChecking::Strict,
        known_hosts: Vec::new(),
        key_folder: None,
        agent: None,
        connect_timeout: Duration::from_secs(1),
        keepalive: Duration::from_secs(2),
        askpass: None,
    };
    refusal(SystemTransport::new(settings, Box::new(Nobody)).connect(destination, cancel))
}

/// A port at which `serve` gets each connection.
fn port(serve: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        listener
            .incoming()
            .for_each(|stream| serve(stream.unwrap()))
    });
    address.port()
}

#[test]
fn a_closed_port_is_refused() {
    let error = connect(&destination(free_port()), &Cancel::new());
    assert!(matches!(error, ConnectError::Refused { .. }), "{error}");
    assert!(error.is_unreachable());
    assert!(
        error
            .to_string()
            .starts_with("cannot connect to node `edge-1` (127.0.0.1:")
    );
}

#[test]
fn a_name_that_leads_nowhere_is_not_resolved() {
    let destination = Destination {
        address: "no-such-node.invalid".to_owned(),
        ..destination(22)
    };
    let error = connect(&destination, &Cancel::new());
    assert!(matches!(error, ConnectError::Resolve { .. }), "{error}");
    assert!(error.is_unreachable());
}

#[test]
fn every_address_of_a_name_is_tried() {
    // `localhost` is ::1 first on many machines, and nothing listens there.
    let port = port(|mut stream| {
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap()
    });
    let destination = Destination {
        address: "localhost".to_owned(),
        ..destination(port)
    };
    let error = connect(&destination, &Cancel::new());
    assert!(matches!(error, ConnectError::Handshake { .. }), "{error}");
}

#[test]
fn a_node_that_takes_no_connection_times_out() {
    // A queue of one that is full: the kernel drops what comes after.
    let family = AddressFamily::INET;
    let listener: OwnedFd = rustix::net::socket(family, SocketType::STREAM, None).unwrap();
    rustix::net::bind(
        &listener,
        &std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0),
    )
    .unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let listener = TcpListener::from(listener);
    let address = listener.local_addr().unwrap();
    let wait = Duration::from_millis(200);
    let _full: Vec<_> = (0..3)
        .map(|_| TcpStream::connect_timeout(&address, wait))
        .collect();
    let start = Instant::now();
    let error = connect(&destination(address.port()), &Cancel::new());
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error}");
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );

    let cancel = Cancel::new();
    cancel.cancel();
    let error = connect(&destination(address.port()), &cancel);
    assert!(matches!(error, ConnectError::Cancelled { .. }), "{error}");
}

#[test]
fn a_silent_server_times_out_and_can_be_cancelled() {
    let port = port(|stream| {
        sleep(Duration::from_secs(5));
        drop(stream);
    });
    let start = Instant::now();
    let error = connect(&destination(port), &Cancel::new());
    assert!(
        matches!(error, ConnectError::HandshakeTimedOut { .. }),
        "{error}"
    );
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );

    let cancel = Cancel::new();
    let asked = cancel.clone();
    thread::spawn(move || {
        sleep(Duration::from_millis(200));
        asked.cancel();
    });
    let start = Instant::now();
    let error = connect(&destination(port), &cancel);
    assert!(matches!(error, ConnectError::Cancelled { .. }), "{error}");
    assert!(
        start.elapsed() < Duration::from_millis(900),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_server_that_is_not_sshd_is_no_handshake() {
    let port = port(|mut stream| {
        let _ = stream.write_all(b"220 mail.example.com ESMTP\r\n");
    });
    let error = connect(&destination(port), &Cancel::new());
    assert!(matches!(error, ConnectError::Handshake { .. }), "{error}");
    assert!(error.hint().unwrap().contains("ansible_port"));
}

#[test]
fn a_server_that_hangs_up_is_no_handshake() {
    let error = connect(&destination(port(drop)), &Cancel::new());
    assert!(matches!(error, ConnectError::Handshake { .. }), "{error}");
    assert!(error.is_unreachable());
}

#[test]
fn a_server_that_talks_nonsense_after_its_banner_is_no_handshake() {
    let port = port(|mut stream| {
        let _ = stream.write_all(
            b"SSH-2.0-OpenSSH_9.2\r\n\0\0\0\x0c\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        );
        sleep(Duration::from_secs(3));
    });
    let error = connect(&destination(port), &Cancel::new());
    let told = matches!(
        error,
        ConnectError::Handshake { .. } | ConnectError::HandshakeTimedOut { .. }
    );
    assert!(told, "{error}");
}

/// A node whose session takes its time: nothing is answered meanwhile, and its first word then is about something else.
fn slow(login: Duration) -> u16 {
    port(move |stream| {
        let mut raw = Raw::new(stream);
        let mut serve = || {
            raw.log_in()?;
            sleep(login);
            raw.write(&[&[80][..], &string(b"hostkeys-00@openssh.com"), &[0]].concat())?;
            sleep(Duration::from_millis(500));
            raw.until(90)?;
            raw.confirm(1 << 21)?;
            raw.until(98)?;
            raw.write(&[&[100][..], &[0; 4]].concat())?;
            raw.until(0).map(drop)
        };
        let _ = serve();
    })
}

/// How the first script on it ends, and when.
fn first_run(port: u16, connect_timeout: Duration) -> (RunError, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let settings = ConnectOptions {
        ssh_config: SshConfig::None,
        client: Client::Own,
        arguments: Default::default(),
        node_arguments: Default::default(),
        host_key_checking: HostKeyChecking::AcceptNew,
        known_hosts: vec![folder.path().join("known_hosts")],
        key_folder: None,
        agent: None,
        connect_timeout,
        keepalive: Duration::from_secs(10),
        askpass: None,
    };
    let key_file = Some(keygen(folder.path(), "id", &["-t", "ed25519"]));
    let destination = Destination {
        key_file,
        ..destination(port)
    };
    let system = SystemTransport::new(settings, Box::new(Nobody));
    let mut connection = system.connect(&destination, &Cancel::new()).unwrap();
    let since = Instant::now();
    // Less than the login takes: it is not the script's time.
    let limit = Duration::from_secs(1);
    let error = connection.run("id", limit, &mut |_| {}, &Cancel::new());
    (error.unwrap_err(), since.elapsed())
}

#[test]
fn a_login_that_takes_its_time_has_the_time_of_logging_in() {
    let (error, _) = first_run(slow(Duration::from_secs(3)), Duration::from_secs(10));
    // The node was waited for until it refused the command.
    assert!(matches!(error, RunError::Start { .. }), "{error}");
    let (error, took) = first_run(slow(Duration::from_secs(9)), Duration::from_secs(2));
    assert!(matches!(error, RunError::NoSession { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("did not open a session within 2s"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("-T"));
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
#[ignore = "takes more than a minute"]
fn a_login_of_more_than_a_minute_is_waited_for() {
    // libssh2 gives up after 60 s, whatever limit is set.
    let (error, took) = first_run(slow(Duration::from_secs(65)), Duration::from_secs(90));
    assert!(matches!(error, RunError::Start { .. }), "{error}");
    assert!(took > Duration::from_secs(64), "{took:?}");
}
