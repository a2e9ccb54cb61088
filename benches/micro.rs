//! What every message goes through on a processor alone: its form, its signature, the encoding of its journal, and the
//! replay of its run. `make microbench`.
#![expect(clippy::unwrap_used, reason = "benchmarks")]
use divan::{Bencher, black_box, counter::ItemsCount};
use recado_clients::twilio::{InboundForm, parse_form, sign, verify};
use recado_engine::{
    Event, Export,
    testing::{encode_journal, replay_export},
};
use recado_workflows::InboundMessage;
use secrecy::SecretString;

const URL: &str = "https://recado.example/api/v1/twilio/webhooks/inbound";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// What Twilio posts for a WhatsApp message of some words.
const FORM: &[u8] =
    b"SmsMessageSid=SM00112233445566778899aabbccddeeff&NumMedia=0&ProfileName=Jo%C3%A3o%20da%20Silva\
    &MessageType=text&SmsSid=SM00112233445566778899aabbccddeeff&WaId=5511987654321&SmsStatus=received\
    &Body=Bom%20dia%21%20Voc%C3%AAs%20fazem%20entrega%20no%20domingo%3F&To=whatsapp%3A%2B14155238886\
    &NumSegments=1&ReferralNumMedia=0&MessageSid=SM00112233445566778899aabbccddeeff\
    &AccountSid=AC00112233445566778899aabbccddeeff&From=whatsapp%3A%2B5511987654321&ApiVersion=2010-04-01";
/// An answered message, as a real run left it.
const ANSWERED: &[u8] = include_bytes!("../workflows/tests/histories/answered.json");

fn main() {
    divan::main();
}

#[divan::bench]
fn form_parsed(bencher: Bencher) {
    bencher
        .counter(divan::counter::BytesCount::of_slice(FORM))
        .bench(|| InboundForm::from_fields(&parse_form(black_box(FORM), 300).unwrap()).unwrap());
}

/// With so many tokens to try, of which the last one fits.
#[divan::bench(args = [1, 2, 4])]
fn signature_verified(bencher: Bencher, tokens: usize) {
    let fields = parse_form(FORM, 300).unwrap();
    let signature = sign(TOKEN, URL, &fields);
    let mut tokens: Vec<_> = (1..tokens)
        .map(|n| SecretString::from(format!("{n:032}")))
        .collect();
    tokens.push(SecretString::from(TOKEN));
    bencher.bench(|| assert!(verify(black_box(&tokens), URL, &fields, &signature)));
}

#[divan::bench]
fn history_read(bencher: Bencher) {
    bencher.bench(|| serde_json::from_slice::<Export>(black_box(ANSWERED)).unwrap());
}

/// The workflow called again from its start against the journal, inputs hashed and compared, without a database.
#[divan::bench]
fn history_replayed(bencher: Bencher) {
    let export: Export = serde_json::from_slice(ANSWERED).unwrap();
    bencher
        .counter(ItemsCount::new(export.events.len()))
        .bench(|| replay_export::<InboundMessage>(black_box(&export)).unwrap());
}

/// The journal of an answered message as the parameters of one statement, every document sealed.
#[divan::bench]
fn journal_encoded(bencher: Bencher) {
    let export: Export = serde_json::from_slice(ANSWERED).unwrap();
    let events: Vec<Event> = export.events.into_iter().map(Event::from).collect();
    bencher
        .counter(ItemsCount::new(events.len()))
        .bench(|| encode_journal(black_box(&export.run), &events).unwrap());
}
