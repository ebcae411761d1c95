//! A name server, and who asks one.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use super::{LONGEST, say};
use crate::kernel::names::{self, Names, Said};
use crate::kernel::program::WORK;
use crate::kernel::sys;
use crate::kernel::trace::Trace;

/// `NAME=ADDRESS`, each of them; none where one is something else.
pub(super) fn table(words: &[&str]) -> Option<Names> {
    let pair = |word: &&str| {
        let (name, address) = word.split_once('=')?;
        let address: IpAddr = address.parse().ok()?;
        (!name.is_empty()).then(|| (name.to_owned(), address))
    };
    words.iter().map(pair).collect()
}

/// Answers questions for these names.
pub(super) fn serve(at: SocketAddr, names: &Names) -> Result<(), String> {
    let bound = sys::bind_udp(&mut Trace::new(WORK), at).map_err(|error| format!("{at}: {}", error.errno.words()))?;
    names::serve(&UdpSocket::from(bound), names, Some(LONGEST));
    Ok(())
}

/// Asks for the addresses of a name, and says them.
pub(super) fn resolve(name: &str) -> Result<(), String> {
    let said = found(name)?;
    say(&said.words(name));
    Ok(())
}

/// The addresses of `HOST:PORT`, where HOST is a name or an address itself.
pub(super) fn addresses(to: &str) -> Option<Result<Vec<SocketAddr>, String>> {
    if let Ok(address) = to.parse() {
        return Some(Ok(vec![address]));
    }
    let (name, port) = to.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    let with_port = |said: Said| said.addresses().iter().map(|ip| SocketAddr::from((*ip, port))).collect();
    Some(found(name).map(with_port))
}

/// What is said of a name that has an address.
fn found(name: &str) -> Result<Said, String> {
    match names::resolve(&mut Trace::new(WORK), name) {
        Ok(said) if said.addresses().is_empty() => Err(said.words(name)),
        Ok(said) => Ok(said),
        Err(unanswered) => Err(format!("{name}: {}", unanswered.words())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_of_a_table_is_a_name_with_its_address() {
        let names = table(&["db=10.0.0.3", "six=fd00::6"]).expect("a table");
        assert_eq!(names.get("six").map(ToString::to_string).as_deref(), Some("fd00::6"));
        for odd in ["db", "=10.0.0.3", "db=web", "db=10.0.0.3:80"] {
            assert_eq!(table(&["web=10.0.0.2", odd]), None, "{odd}");
        }
    }

    #[test]
    fn an_address_needs_nobody_to_be_asked() {
        assert_eq!(addresses("[::1]:80"), Some(Ok(vec!["[::1]:80".parse().expect("an address")])));
        for odd in ["db", "db:", "db:http", "db:99999"] {
            assert_eq!(addresses(odd), None, "{odd}");
        }
    }
}
