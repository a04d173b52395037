//! A small SSH server, written by hand, that can do at any point what no real server would do.
//!
//! curve25519, ed25519, aes256-ctr and hmac-sha2-256, and nothing else. It accepts every login by default.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;

use openssl::derive::Deriver;
use openssl::hash::MessageDigest;
use openssl::pkey::Id;
use openssl::pkey::PKey;
use openssl::pkey::Private;
use openssl::sha::Sha256;
use openssl::sha::sha256;
use openssl::sign::Signer;
use openssl::symm::Cipher;
use openssl::symm::Crypter;
use openssl::symm::Mode;

pub const BANNER: &[u8] = b"SSH-2.0-Hostile_1.0\r\n";

/// What the server offers.
#[derive(Clone)]
pub struct Offer {
    pub key_exchange: &'static str,
    pub host_key: &'static str,
    pub cipher: &'static str,
    pub mac: &'static str,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            key_exchange: "curve25519-sha256",
            host_key: "ssh-ed25519",
            cipher: "aes256-ctr",
            mac: "hmac-sha2-256",
        }
    }
}

/// One connection.
pub struct Raw {
    stream: TcpStream,
    client_banner: Vec<u8>,
    receive: Option<(Crypter, Vec<u8>)>,
    send: Option<(Crypter, PKey<Private>)>,
    received: u32,
    sent: u32,
}

pub fn string(bytes: &[u8]) -> Vec<u8> {
    let mut text = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    text.extend(bytes);
    text
}

/// A number that is no less than zero, as RFC 4251 §5 writes it.
fn number(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0);
    let bytes = &bytes[start.unwrap_or(bytes.len())..];
    match bytes.first() {
        Some(first) if first & 0x80 != 0 => string(&[&[0], bytes].concat()),
        _ => string(bytes),
    }
}

impl Raw {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            client_banner: Vec::new(),
            receive: None,
            send: None,
            received: 0,
            sent: 0,
        }
    }

    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Both banners.
    pub fn greet(&mut self) -> io::Result<()> {
        self.stream.write_all(BANNER)?;
        let mut byte = [0];
        loop {
            self.stream.read_exact(&mut byte)?;
            match byte[0] {
                b'\n' => return Ok(()),
                b'\r' => {}
                byte => self.client_banner.push(byte),
            }
        }
    }

    pub fn kexinit(offer: &Offer) -> Vec<u8> {
        let mut payload = vec![20];
        payload.extend([7; 16]);
        for list in [
            offer.key_exchange,
            offer.host_key,
            offer.cipher,
            offer.cipher,
            offer.mac,
            offer.mac,
            "none",
            "none",
            "",
            "",
        ] {
            payload.extend(string(list.as_bytes()));
        }
        payload.extend([0; 5]);
        payload
    }

    /// The key exchange, after which all is encrypted.
    pub fn exchange_keys(&mut self) -> io::Result<()> {
        let ours = Self::kexinit(&Offer::default());
        self.write(&ours)?;
        let theirs = self.read()?;
        let question = self.read()?;
        let client = question[5..].to_vec();
        let pair = PKey::generate_x25519().unwrap();
        let peer = PKey::public_key_from_raw_bytes(&client, Id::X25519).unwrap();
        let mut deriver = Deriver::new(&pair).unwrap();
        deriver.set_peer(&peer).unwrap();
        let secret = number(&deriver.derive_to_vec().unwrap());
        let public = pair.raw_public_key().unwrap();

        let host = PKey::generate_ed25519().unwrap();
        let mut blob = string(b"ssh-ed25519");
        blob.extend(string(&host.raw_public_key().unwrap()));
        let mut hash = Sha256::new();
        for part in [
            self.client_banner.as_slice(),
            BANNER.trim_ascii(),
            &theirs,
            &ours,
            &blob,
            &client,
            &public,
        ] {
            hash.update(&string(part));
        }
        hash.update(&secret);
        let hash = hash.finish();
        let signed = Signer::new_without_digest(&host)
            .unwrap()
            .sign_oneshot_to_vec(&hash)
            .unwrap();
        let mut signature = string(b"ssh-ed25519");
        signature.extend(string(&signed));
        let answer = [vec![31], string(&blob), string(&public), string(&signature)];
        self.write(&answer.concat())?;
        self.write(&[21])?;

        let derive = |letter: u8, length: usize| {
            let first = sha256(&[&secret[..], &hash, &[letter], &hash].concat());
            first[..length].to_vec()
        };
        let crypter = |mode, key: &[u8], iv: &[u8]| {
            Crypter::new(Cipher::aes_256_ctr(), mode, key, Some(iv)).unwrap()
        };
        let to_client = crypter(Mode::Encrypt, &derive(b'D', 32), &derive(b'B', 16));
        self.send = Some((to_client, PKey::hmac(&derive(b'F', 32)).unwrap()));
        let newkeys = self.read()?;
        assert_eq!(newkeys, [21]);
        let from_client = crypter(Mode::Decrypt, &derive(b'C', 32), &derive(b'A', 16));
        self.receive = Some((from_client, derive(b'E', 32)));
        Ok(())
    }

    /// Greets, exchanges keys, and grants the service of logging in.
    pub fn shake_hands(&mut self) -> io::Result<()> {
        self.greet()?;
        self.exchange_keys()?;
        self.read()?;
        self.write(&[&[6][..], &string(b"ssh-userauth")].concat())
    }

    /// Accepts any key, and answers nothing about channels.
    pub fn log_in(&mut self) -> io::Result<()> {
        self.shake_hands()?;
        loop {
            let request = self.read()?;
            if request.first() != Some(&50) {
                continue;
            }
            match method(&request) {
                b"publickey" => return self.write(&[52]),
                _ => self.refuse(b"publickey")?,
            }
        }
    }

    pub fn refuse(&mut self, methods: &[u8]) -> io::Result<()> {
        self.write(&[&[51][..], &string(methods), &[0]].concat())
    }

    /// Answers that the key of a request would be accepted.
    pub fn want(&mut self, request: &[u8]) -> io::Result<()> {
        let at = request.len() - string(b"ssh-ed25519").len() - string(&[0; 51]).len();
        self.write(&[&[60][..], &request[at..]].concat())
    }

    /// Opens the channel that is asked for, with a window of this size, and takes the command.
    pub fn open(&mut self, window: u32) -> io::Result<()> {
        self.log_in()?;
        self.until(90)?;
        self.confirm(window)?;
        self.until(98)?;
        self.write(&[&[99][..], &[0; 4]].concat())
    }

    pub fn confirm(&mut self, window: u32) -> io::Result<()> {
        let mut answer = vec![91];
        for field in [0, 0, window, 32768] {
            answer.extend(u32::to_be_bytes(field));
        }
        self.write(&answer)
    }

    /// Reads until a message of this kind, which is returned.
    pub fn until(&mut self, kind: u8) -> io::Result<Vec<u8>> {
        loop {
            let message = self.read()?;
            if message.first() == Some(&kind) {
                return Ok(message);
            }
        }
    }

    /// Opens, and greets in the name of the shell that fwdeploy asks for.
    pub fn begin(&mut self) -> io::Result<()> {
        self.log_in()?;
        self.until(90)?;
        self.confirm(1 << 21)?;
        let request = self.until(98)?;
        self.write(&[&[99][..], &[0; 4]].concat())?;
        let text = String::from_utf8_lossy(&request).into_owned();
        let at = text
            .find("fwdeploy-begin-")
            .expect("a command with its mark");
        let mark = text[at..].split(';').next().unwrap().to_owned() + "\n";
        self.say(mark.as_bytes())?;
        self.complain(mark.as_bytes())
    }

    pub fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(&[&[94, 0, 0, 0, 0][..], &string(bytes)].concat())
    }

    pub fn complain(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(&[&[95, 0, 0, 0, 0, 0, 0, 0, 1][..], &string(bytes)].concat())
    }

    pub fn write(&mut self, payload: &[u8]) -> io::Result<()> {
        let block = if self.send.is_some() { 16 } else { 8 };
        let padding = block - (payload.len() + 5) % block;
        let padding = if padding < 4 {
            padding + block
        } else {
            padding
        };
        let length = u32::try_from(payload.len() + padding + 1).unwrap();
        let mut packet = length.to_be_bytes().to_vec();
        packet.push(u8::try_from(padding).unwrap());
        packet.extend(payload);
        packet.extend(std::iter::repeat_n(0, padding));
        let packet = match &mut self.send {
            None => packet,
            Some((cipher, key)) => {
                let mut signer = Signer::new(MessageDigest::sha256(), key).unwrap();
                signer.update(&self.sent.to_be_bytes()).unwrap();
                signer.update(&packet).unwrap();
                let mac = signer.sign_to_vec().unwrap();
                let mut out = vec![0; packet.len() + 16];
                let count = cipher.update(&packet, &mut out).unwrap();
                out.truncate(count);
                out.extend(mac);
                out
            }
        };
        self.sent = self.sent.wrapping_add(1);
        self.stream.write_all(&packet)
    }

    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut first = [0; 16];
        let block = if self.receive.is_some() { 16 } else { 8 };
        self.stream.read_exact(&mut first[..block])?;
        let mut packet = self.decrypt(&first[..block]);
        let length = u32::from_be_bytes(packet[..4].try_into().unwrap()) as usize;
        let mut rest = vec![0; (4 + length).saturating_sub(block)];
        self.stream.read_exact(&mut rest)?;
        packet.extend(self.decrypt(&rest));
        if self.receive.is_some() {
            // The client's code is not under test here.
            self.stream.read_exact(&mut [0; 32])?;
        }
        self.received = self.received.wrapping_add(1);
        let padding = usize::from(packet[4]);
        Ok(packet[5..4 + length - padding].to_vec())
    }

    fn decrypt(&mut self, bytes: &[u8]) -> Vec<u8> {
        match &mut self.receive {
            None => bytes.to_vec(),
            Some((cipher, _)) => {
                let mut out = vec![0; bytes.len() + 16];
                let count = cipher.update(bytes, &mut out).unwrap();
                out.truncate(count);
                out
            }
        }
    }
}

/// The method of a SSH_MSG_USERAUTH_REQUEST: after the user and the service.
pub fn method(request: &[u8]) -> &[u8] {
    method_and_rest(request).0
}

/// Whether a request with a key is more than a question.
pub fn is_signed(request: &[u8]) -> bool {
    method_and_rest(request).1[0] == 1
}

fn method_and_rest(request: &[u8]) -> (&[u8], &[u8]) {
    let mut rest = &request[1..];
    let mut part: &[u8] = &[];
    for _ in 0..3 {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        part = &rest[4..4 + length];
        rest = &rest[4 + length..];
    }
    (part, rest)
}
