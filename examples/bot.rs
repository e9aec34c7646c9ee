// A small bot in Rust, without a crate:  rustc -O examples/bot.rs -o bot && ./bot [SOCKET]
//
// It buys at the market, rests a bid far below, moves it, takes it off, and compares what the events
// told with what the daemon lists. A lost connection is no reason to worry: the same call is sent
// again under the same cl_ord_id, and finds the order it made before.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::{env, fs::File, io, io::Read, process, thread, time::Duration};

const TRIES: u64 = 5;

struct Broker {
    path: String,
    run: String,
    lines: Option<BufReader<UnixStream>>,
    last_id: u64,
    after_seq: Option<String>,
    told: HashMap<String, (String, String)>, // cl_ord_id -> (ord_status, cum_qty), as events said last
}

impl Broker {
    /// Call a method; without an answer, connect again and repeat it.
    fn call(&mut self, method: &str, params: &str) -> Result<Json, String> {
        for tries in 1.. {
            match self.connected().and_then(|()| self.ask(method, params)) {
                Ok(answer) => return answer,
                Err(error) if tries == TRIES => return Err(format!("no answer: {error}")),
                Err(_) => {
                    self.lines = None;
                    thread::sleep(Duration::from_millis(100 * tries));
                }
            }
        }
        unreachable!()
    }

    fn connected(&mut self) -> io::Result<()> {
        if self.lines.is_some() {
            return Ok(());
        }
        let socket = UnixStream::connect(&self.path)?;
        socket.set_read_timeout(Some(Duration::from_secs(30)))?;
        self.lines = Some(BufReader::new(socket));
        // From now on, or behind the last event seen: no gap and no repeat.
        let after = self.after_seq.as_ref().map_or(String::new(), |seq| format!(r#","after_seq":{seq}"#));
        let params = format!(r#"{{"group":{{"run":"{}"}}{after}}}"#, self.run);
        let subscribed = self.ask("events.subscribe", &params)?.map_err(io::Error::other)?;
        self.after_seq.get_or_insert(subscribed.text("seq"));
        Ok(())
    }

    /// The outer error is a lost connection, the inner one the daemon's no.
    fn ask(&mut self, method: &str, params: &str) -> io::Result<Result<Json, String>> {
        self.last_id += 1;
        let id = self.last_id.to_string();
        let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":{params}}}\n");
        let socket = self.lines.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        socket.get_mut().write_all(line.as_bytes())?;
        loop {
            let message = self.read()?;
            if message.text("id") == id {
                return Ok(match message.get("error") {
                    Json::Null => Ok(message.get("result").clone()),
                    error => Err(format!("{}: {}", error.text("code"), error.text("message"))),
                });
            }
        }
    }

    /// Return the next message; an event is taken in first.
    fn read(&mut self) -> io::Result<Json> {
        let mut line = String::new();
        let lines = self.lines.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        if lines.read_line(&mut line)? == 0 || !line.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let message = Json::parse(&mut line.chars().peekable());
        if message.text("method") == "event" {
            let event = message.get("params");
            let outcome = (event.text("ord_status"), event.text("cum_qty"));
            self.told.insert(event.text("cl_ord_id"), outcome);
            self.after_seq = Some(event.text("seq"));
        }
        Ok(message)
    }

    fn is_done(&self, cl_ord_id: &str) -> bool {
        let is_final = |status: &str| ["filled", "canceled", "rejected", "expired"].contains(&status);
        self.told.get(cl_ord_id).is_some_and(|(status, _)| is_final(status))
    }
}

fn main() -> Result<(), String> {
    let named = env::args().nth(1).or_else(|| env::var("BROKERD_SOCKET").ok());
    let path = named.unwrap_or_else(|| "var/brokerd.sock".into());
    let run = format!("rust-{:08x}", random());
    let (lines, after_seq, told) = (None, None, HashMap::new());
    let mut broker = Broker { path, run: run.clone(), lines, last_id: 0, after_seq, told };

    let order = |no: u8, terms: &str| {
        let same = r#""symbol":"BTCUSDT","side":"buy","qty":"0.01","wait":"venue""#;
        format!(r#"{{"cl_ord_id":"{run}-{no}","group":{{"run":"{run}"}},{same},{terms}}}"#)
    };
    let bought = broker.call("order.submit", &order(1, r#""ord_type":"market""#))?;

    // The daemon notes the market when an order arrives. Prices stay text: no float is ever sent.
    let bid_px = bought.get("arrival").text("bid_px");
    let whole: i64 = bid_px.split('.').next().unwrap_or("").parse().map_err(|_| bid_px.clone())?;
    let far = whole - 1000;
    broker.call("order.submit", &order(2, &format!(r#""ord_type":"limit","px":"{far}""#)))?;
    let moved = format!(r#"{{"cl_ord_id":"{run}-2","px":"{}"}}"#, far + 1);
    broker.call("order.replace", &moved)?;
    broker.call("order.cancel", &format!(r#"{{"cl_ord_id":"{run}-2"}}"#))?;

    while !(1..=2).all(|no| broker.is_done(&format!("{run}-{no}"))) {
        broker.read().map_err(|error| format!("the stream ended: {error}"))?;
    }

    let listed = broker.call("order.list", &format!(r#"{{"group":{{"run":"{run}"}}}}"#))?;
    let mut differ = false;
    for order in listed.get("orders").items() {
        let [id, status, cum_qty, avg_px] = ["cl_ord_id", "ord_status", "cum_qty", "avg_px"].map(|name| order.text(name));
        println!("{id} {status} {cum_qty} {}", if avg_px.is_empty() { "-" } else { &avg_px });
        differ |= broker.told.get(&id) != Some(&(status, cum_qty));
    }
    process::exit(i32::from(differ || listed.get("orders").items().len() != 2))
}

fn random() -> u32 {
    let mut bytes = [0; 4];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.expect("/dev/urandom gives bytes");
    u32::from_ne_bytes(bytes)
}

/// Just enough JSON. Numbers stay the text they were: what may be money never becomes a float.
#[derive(Clone)]
enum Json {
    Null,
    Text(String),
    List(Vec<Json>),
    Object(HashMap<String, Json>),
}

static NULL: Json = Json::Null;

impl Json {
    fn get(&self, name: &str) -> &Json {
        match self {
            Json::Object(members) => members.get(name).unwrap_or(&NULL),
            _ => &NULL,
        }
    }

    fn text(&self, name: &str) -> String {
        match self.get(name) {
            Json::Text(text) => text.clone(),
            _ => String::new(),
        }
    }

    fn items(&self) -> &[Json] {
        match self {
            Json::List(items) => items,
            _ => &[],
        }
    }

    fn parse(rest: &mut std::iter::Peekable<std::str::Chars>) -> Json {
        match rest.peek() {
            Some('{') => Json::Object(Json::members(rest, |rest| {
                let name = Json::string(rest);
                rest.next(); // the colon
                (name, Json::parse(rest))
            })),
            Some('[') => Json::List(Json::members(rest, Json::parse)),
            Some('"') => Json::Text(Json::string(rest)),
            _ => {
                let mut word = String::new();
                while let Some(letter) = rest.next_if(|next| !",]}\n".contains(*next)) {
                    word.push(letter);
                }
                if word == "null" { Json::Null } else { Json::Text(word) }
            }
        }
    }

    fn members<T, C: FromIterator<T>>(
        rest: &mut std::iter::Peekable<std::str::Chars>,
        read: impl Fn(&mut std::iter::Peekable<std::str::Chars>) -> T,
    ) -> C {
        let mut members = Vec::new();
        rest.next(); // the bracket
        while let Some(next) = rest.peek() {
            match next {
                '}' | ']' => {
                    rest.next();
                    break;
                }
                ',' => drop(rest.next()),
                _ => members.push(read(rest)),
            }
        }
        members.into_iter().collect()
    }

    fn string(rest: &mut std::iter::Peekable<std::str::Chars>) -> String {
        let mut text = String::new();
        rest.next(); // the quote
        while let Some(letter) = rest.next() {
            match letter {
                '"' => break,
                '\\' => match rest.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('u') => {
                        let code: String = rest.by_ref().take(4).collect();
                        let code = u32::from_str_radix(&code, 16).unwrap_or(0xFFFD);
                        text.push(char::from_u32(code).unwrap_or('\u{FFFD}'));
                    }
                    Some(other) => text.push(other),
                    None => break,
                },
                other => text.push(other),
            }
        }
        text
    }
}
