//! Signed links: what a mail's link may do, for whom, until when.
//!
//! A token is `CLAIMS || MAC` in URL-safe base64. The MAC is BLAKE3's keyed hash over the claims and
//! the audience (the public URL), with a key of the ring that the claims name: there is one
//! algorithm, and a token cannot ask for another. What is wrong with a token is for the log; whoever
//! shows it is told that it does not hold, and nothing more.
//!
//! A token is not stored. The decision that it leads to carries a UUID that follows from the token
//! ([`Token::decision`]), and a decision is made once under one UUID.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jiff::{SignedDuration, Timestamp};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// How long a key signs before a new one does.
const SIGNS: SignedDuration = SignedDuration::from_hours(24 * 30);

/// How long a link holds that leads to a decision.
pub const DECIDES: SignedDuration = SignedDuration::from_hours(24 * 14);

/// How long a link holds that only changes what is mailed: mails are kept, and found again.
pub const SETTLES: SignedDuration = SignedDuration::from_hours(24 * 56);

/// How long a key is kept: until the last link that it signed has expired.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * (30 + 56));

/// Bytes of the claims.
const CLAIMS: usize = 1 + 4 + 1 + 8 + 8 + 8 + 8;

/// The first byte of every token.
const FORMAT: u8 = 1;

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// To approve.
    Approve,
    /// To reject.
    Reject,
    /// To hold.
    Hold,
    /// To read, and to decide either way.
    Open,
    /// To pause, stop or start one's mails.
    Settings,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 5] = [
        Self::Approve,
        Self::Reject,
        Self::Hold,
        Self::Open,
        Self::Settings,
    ];

    fn byte(self) -> u8 {
        match self {
            Self::Approve => b'a',
            Self::Reject => b'r',
            Self::Hold => b'h',
            Self::Open => b'o',
            Self::Settings => b's',
        }
    }
}

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims {
    /// What it is for.
    pub purpose: Purpose,
    /// Whom it was sent to: [`whose`] of the address.
    pub reviewer: u64,
    /// The item; 0 if it is about none.
    pub item: i64,
    /// The item's version.
    pub version: i64,
    /// Until when it holds, to the second.
    pub expires: Timestamp,
}

/// A token that was found to hold.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    /// What it says.
    pub claims: Claims,
    mac: [u8; 32],
}

impl Token {
    /// The UUID of the decision that this token leads to by `verb`: always the same one.
    #[must_use]
    pub fn decision(&self, verb: &str) -> uuid::Uuid {
        uuid_of(
            "copydesk 2026 decision by link",
            &[&self.mac, verb.as_bytes()],
        )
    }
}

/// The UUID of a decision that follows from what asked for it: the same for the same parts.
#[must_use]
pub fn uuid_of(context: &str, parts: &[&[u8]]) -> uuid::Uuid {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in parts {
        hasher.update(part);
    }
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// A number that nobody guesses: 256 bits of the system's, as text for URLs and cookies.
///
/// # Errors
/// When the system has none.
pub fn unguessable() -> std::io::Result<String> {
    random::<32>().map(|bytes| BASE64.encode(bytes))
}

fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// How a token names an address.
#[must_use]
pub fn whose(email: &str) -> u64 {
    let hash = blake3::hash(email.to_ascii_lowercase().as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_be_bytes(bytes)
}

/// Why a token does not hold; for logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token.
    #[error("it is no token")]
    Malformed,
    /// Its key is not in the ring, or not any more.
    #[error("its key is not known")]
    UnknownKey,
    /// It was not signed like that, or for another address of the desk.
    #[error("its signature does not hold")]
    Forged,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
}

/// The keys that sign: the newest does, and older ones hold as long as their links.
#[derive(Clone)]
pub struct Keys(Vec<Key>);

#[derive(Clone)]
struct Key {
    id: u32,
    made: Timestamp,
    bytes: [u8; 32],
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

impl Keys {
    /// Reads the keys of a state folder, and adds one if there is none or the newest is a month old;
    /// those whose links have all expired are dropped. Only their owner can read the file. To be
    /// opened again before something is signed, since this is what rotates them.
    ///
    /// # Errors
    /// [`KeyError`]; a file that is not understood is left as it is.
    pub fn open(folder: &Path, now: Timestamp) -> Result<Self, KeyError> {
        let file = folder.join("keys");
        let failed = |error| KeyError::Io {
            file: file.clone(),
            error,
        };
        // Two processes that add a key at once would forget one.
        std::fs::create_dir_all(folder).map_err(failed)?;
        let held = std::fs::File::open(folder).map_err(failed)?;
        held.lock().map_err(failed)?;
        let mut keys = read(&file)?;
        let is_due = |key: &Key| now.duration_since(key.made) >= SIGNS;
        if keys.last().is_none_or(is_due) {
            keys.retain(|key| now.duration_since(key.made) < KEPT);
            keys.push(Key::new(now).map_err(failed)?);
            write(folder, &file, &keys).map_err(failed)?;
        }
        Ok(Self(keys))
    }

    /// Reads the keys of a state folder as they are, and changes nothing: enough to check links, and to
    /// sign one that leads from a page to another.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn look(folder: &Path) -> Result<Self, KeyError> {
        Ok(Self(read(&folder.join("keys"))?))
    }

    /// Signs claims for an audience: the public URL under which the link is to be opened.
    #[must_use]
    pub fn sign(&self, claims: &Claims, audience: &str) -> String {
        let Some(key) = self.0.last() else {
            return String::new();
        };
        let claims = claims.to_bytes(key.id);
        let mut token = claims.to_vec();
        token.extend(key.mac(&claims, audience).as_bytes());
        BASE64.encode(token)
    }

    /// Reads a token that was signed for `audience`.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn check(&self, token: &str, audience: &str, now: Timestamp) -> Result<Token, TokenError> {
        let bytes = BASE64.decode(token).map_err(|_| TokenError::Malformed)?;
        let (claims, mac) = bytes
            .split_first_chunk::<CLAIMS>()
            .ok_or(TokenError::Malformed)?;
        let mac: [u8; 32] = mac.try_into().map_err(|_| TokenError::Malformed)?;
        let (id, read) = Claims::of_bytes(claims).ok_or(TokenError::Malformed)?;
        let key = self.0.iter().find(|key| key.id == id);
        let key = key.ok_or(TokenError::UnknownKey)?;
        // The comparison of the library takes the same time wherever they differ.
        if key.mac(claims, audience) != mac {
            return Err(TokenError::Forged);
        }
        if read.expires <= now {
            return Err(TokenError::Expired);
        }
        Ok(Token { claims: read, mac })
    }
}

impl Key {
    fn new(now: Timestamp) -> std::io::Result<Self> {
        Ok(Self {
            id: u32::from_be_bytes(random()?),
            made: now,
            bytes: random()?,
        })
    }

    /// A line of the file: name, time, key.
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let id = u32::from_str_radix(words.next()?, 16).ok()?;
        let made = words.next()?.parse().ok()?;
        let bytes = blake3::Hash::from_hex(words.next()?).ok()?.into();
        words.next().is_none().then_some(Self { id, made, bytes })
    }

    fn mac(&self, claims: &[u8], audience: &str) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.bytes);
        hasher.update(claims).update(audience.as_bytes());
        hasher.finalize()
    }
}

impl Claims {
    fn to_bytes(self, key: u32) -> [u8; CLAIMS] {
        let mut bytes = [0; CLAIMS];
        let parts: [&[u8]; 7] = [
            &[FORMAT],
            &key.to_be_bytes(),
            &[self.purpose.byte()],
            &self.reviewer.to_be_bytes(),
            &self.item.to_be_bytes(),
            &self.version.to_be_bytes(),
            &self.expires.as_second().to_be_bytes(),
        ];
        let all = parts.into_iter().flatten();
        bytes.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
        bytes
    }

    fn of_bytes(bytes: &[u8; CLAIMS]) -> Option<(u32, Self)> {
        let (format, rest) = bytes.split_first()?;
        let (key, rest) = rest.split_first_chunk()?;
        let (purpose, rest) = rest.split_first()?;
        let (reviewer, rest) = rest.split_first_chunk()?;
        let (item, rest) = rest.split_first_chunk()?;
        let (version, rest) = rest.split_first_chunk()?;
        let expires = i64::from_be_bytes(rest.try_into().ok()?);
        let claims = Self {
            purpose: Purpose::ALL.into_iter().find(|p| p.byte() == *purpose)?,
            reviewer: u64::from_be_bytes(*reviewer),
            item: i64::from_be_bytes(*item),
            version: i64::from_be_bytes(*version),
            expires: Timestamp::from_second(expires).ok()?,
        };
        (*format == FORMAT).then_some((u32::from_be_bytes(*key), claims))
    }
}

/// The keys of a file, the newest last; none if there is no file.
fn read(file: &Path) -> Result<Vec<Key>, KeyError> {
    let mut keys = match std::fs::read_to_string(file) {
        Ok(text) => text
            .lines()
            .map(Key::read)
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| KeyError::Odd(file.to_owned()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            let file = file.to_owned();
            return Err(KeyError::Io { file, error });
        }
    };
    keys.sort_by_key(|key| (key.made, key.id));
    Ok(keys)
}

/// Writes the file whole, so that a crash leaves the old one.
fn write(folder: &Path, file: &Path, keys: &[Key]) -> std::io::Result<()> {
    let mut text = String::new();
    for key in keys {
        let hash = blake3::Hash::from_bytes(key.bytes).to_hex();
        let _ = writeln!(text, "{:08x} {} {hash}", key.id, key.made);
    }
    // Made with mode 0600.
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(text.as_bytes())?;
    new.as_file().sync_all()?;
    new.persist(file).map_err(|error| error.error)?;
    std::fs::File::open(folder)?.sync_all()
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("the keys that sign links cannot be kept in `{}`: {error}", .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file holds something else.
    #[error("`{}` holds no keys that sign links; remove it for new ones (links in mails that were sent do not hold then)", .0.display())]
    Odd(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const NOW: Timestamp = Timestamp::constant(1_772_442_000, 0);
    const DESK: &str = "https://desk.example.org";

    fn claims(purpose: Purpose) -> Claims {
        Claims {
            purpose,
            reviewer: whose("ana@example.org"),
            item: 7,
            version: 3,
            expires: NOW + DECIDES,
        }
    }

    fn keys(folder: &Path, days: i64) -> Keys {
        Keys::open(folder, NOW + SignedDuration::from_hours(24 * days)).unwrap()
    }

    #[test]
    fn a_token_says_what_was_signed_for_one_audience_until_it_expires() {
        let folder = tempfile::tempdir().unwrap();
        let keys = keys(folder.path(), 0);
        for purpose in Purpose::ALL {
            let token = keys.sign(&claims(purpose), DESK);
            assert!(token.len() < 100, "{token}");
            let held = keys.check(&token, DESK, NOW).unwrap();
            assert_eq!(held.claims, claims(purpose));
            let error = |audience, now| keys.check(&token, audience, now).unwrap_err();
            assert_eq!(error("https://other.example.org", NOW), TokenError::Forged);
            assert_eq!(error(DESK, NOW + DECIDES), TokenError::Expired);
        }
    }

    #[test]
    fn no_bit_of_a_token_can_change() {
        let folder = tempfile::tempdir().unwrap();
        let keys = keys(folder.path(), 0);
        let token = keys.sign(&claims(Purpose::Approve), DESK);
        for n in 0..token.len() {
            for other in b"AZaz09-_" {
                let mut changed = token.clone().into_bytes();
                if changed[n] != *other {
                    changed[n] = *other;
                    let changed = String::from_utf8(changed).unwrap();
                    assert!(keys.check(&changed, DESK, NOW).is_err(), "{changed}");
                }
            }
            assert!(keys.check(&token[..n], DESK, NOW).is_err());
        }
        for other in [format!("{token}A"), format!("{token}="), "é".into()] {
            assert!(keys.check(&other, DESK, NOW).is_err());
        }
    }

    #[test]
    fn each_verb_of_a_token_is_one_decision() {
        let folder = tempfile::tempdir().unwrap();
        let keys = keys(folder.path(), 0);
        let held = |purpose| {
            let token = keys.sign(&claims(purpose), DESK);
            keys.check(&token, DESK, NOW).unwrap()
        };
        let open = held(Purpose::Open);
        assert_eq!(
            open.decision("approve"),
            held(Purpose::Open).decision("approve")
        );
        assert_ne!(open.decision("approve"), open.decision("reject"));
        assert_ne!(
            open.decision("approve"),
            held(Purpose::Approve).decision("approve")
        );
    }

    #[test]
    fn keys_rotate_and_hold_as_long_as_their_links() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let token = keys(at, 29).sign(&claims(Purpose::Open), DESK);
        let file = at.join("keys");
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(keys(at, 29).0.len(), 1, "the same key until it is old");
        let rotated = keys(at, 60);
        assert_eq!(rotated.0.len(), 2);
        assert!(rotated.check(&token, DESK, NOW).is_ok());
        assert_ne!(rotated.sign(&claims(Purpose::Open), DESK), token);
        let later = keys(at, 120);
        assert_eq!(
            later.check(&token, DESK, NOW).unwrap_err(),
            TokenError::UnknownKey
        );
        std::fs::write(&file, "something else\n").unwrap();
        assert!(matches!(Keys::open(at, NOW), Err(KeyError::Odd(_))));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "something else\n");
    }
}
