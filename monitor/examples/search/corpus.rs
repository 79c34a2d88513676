//! Records that nobody wrote: statements of about 1 KiB in English, Chinese and Arabic, the same in every run.
//!
//! Words come with the skew that real texts have: few are everywhere, most are rare.

/// A small generator of numbers (SplitMix64): a benchmark must be able to say what it measured.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// Below `count`, all alike.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).expect("below a length")
    }

    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Below `count`, small ones far more often.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to a length")]
    pub(crate) fn skewed(&mut self, count: usize) -> usize {
        ((self.unit().powi(4) * count as f64) as usize).min(count - 1)
    }
}

/// Words of a language; the first ones are the common ones.
pub(crate) struct Words {
    pub(crate) words: Vec<String>,
    /// What stands between two.
    between: &'static str,
}

const ENGLISH_WORDS: usize = 60_000;
const CHINESE_LETTERS: usize = 2_500;
const ARABIC_WORDS: usize = 30_000;
const ENGLISH_STARTS: [&str; 24] = [
    "bridge", "school", "contract", "road", "water", "repair", "supply", "service", "grant", "tender", "hos",
    "min", "con", "per", "tra", "lo", "ve", "sta", "pro", "ma", "ru", "ki", "de", "fo",
];
const ENGLISH_MIDDLES: [&str; 20] = [
    "ta", "ri", "le", "no", "mu", "si", "da", "ver", "pol", "gen", "lin", "cor", "bel", "har", "to", "es",
    "an", "ul", "or", "im",
];
const ENGLISH_ENDS: [&str; 16] =
    ["", "s", "ing", "ed", "ton", "ham", "ford", "er", "al", "ia", "ment", "ry", "ic", "ous", "um", "ex"];
const ARABIC_LETTERS: [char; 20] =
    ['ا', 'ب', 'ت', 'ج', 'ح', 'د', 'ر', 'س', 'ش', 'ص', 'ع', 'ف', 'ق', 'ك', 'ل', 'م', 'ن', 'ه', 'و', 'ي'];

impl Words {
    pub(crate) fn english() -> Self {
        let mut numbers = Numbers::new(1);
        let mut words: Vec<String> = ENGLISH_STARTS.iter().take(10).map(|word| (*word).to_owned()).collect();
        while words.len() < ENGLISH_WORDS {
            let middles = numbers.below(3);
            let mut word = ENGLISH_STARTS[numbers.below(ENGLISH_STARTS.len())].to_owned();
            (0..middles).for_each(|_| word.push_str(ENGLISH_MIDDLES[numbers.below(ENGLISH_MIDDLES.len())]));
            word.push_str(ENGLISH_ENDS[numbers.below(ENGLISH_ENDS.len())]);
            words.push(word);
        }
        Self { words, between: " " }
    }

    pub(crate) fn chinese() -> Self {
        // The block of Han letters is ordered by stroke, not by use; which ones are common does not matter here.
        let letters = (0..CHINESE_LETTERS).map(|at| 0x4e00 + u32::try_from(at * 7).expect("small"));
        let words = letters.filter_map(char::from_u32).map(String::from).collect();
        Self { words, between: "" }
    }

    pub(crate) fn arabic() -> Self {
        let mut numbers = Numbers::new(2);
        let words = (0..ARABIC_WORDS).map(|_| {
            let letters = 3 + numbers.below(4);
            let article = if numbers.below(3) == 0 { "ال" } else { "" };
            let word: String =
                (0..letters).map(|_| ARABIC_LETTERS[numbers.below(ARABIC_LETTERS.len())]).collect();
            format!("{article}{word}")
        });
        Self { words: words.collect(), between: " " }
    }

    /// A text of so many words.
    pub(crate) fn text(&self, numbers: &mut Numbers, count: usize) -> String {
        let words: Vec<&str> =
            (0..count).map(|_| self.words[numbers.skewed(self.words.len())].as_str()).collect();
        words.join(self.between)
    }
}

/// The languages.
pub(crate) struct Corpus {
    pub(crate) english: Words,
    pub(crate) chinese: Words,
    pub(crate) arabic: Words,
}

/// Agencies that publish.
pub(crate) const AGENCIES: usize = 400;
/// Registers, of all agencies together.
const REGISTERS: usize = 40;
/// Versions of a record.
const VERSIONS: u64 = 3;
/// 2016-01-01, in seconds since 1970.
const FIRST_SECONDS: u64 = 1_451_606_400;
/// Ten years.
const SPAN_SECONDS: u64 = 315_000_000;

impl Corpus {
    pub(crate) fn new() -> Self {
        Self { english: Words::english(), chinese: Words::chinese(), arabic: Words::arabic() }
    }

    /// An entry out of `count`.
    pub(crate) fn entry(&self, index: u64, count: u64) -> Vec<u8> {
        let mut numbers = Numbers::new(index.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let (title, text) = match numbers.below(20) {
            0..12 => (self.english.text(&mut numbers, 6), self.english.text(&mut numbers, 70)),
            12..17 => (self.chinese.text(&mut numbers, 14), self.chinese.text(&mut numbers, 180)),
            _ => (self.arabic.text(&mut numbers, 6), self.arabic.text(&mut numbers, 50)),
        };
        let supplier = self.english.text(&mut numbers, 2);
        let agency = numbers.skewed(AGENCIES);
        let register = numbers.skewed(REGISTERS);
        let cents = 10_u64.pow(2 + u32::try_from(numbers.below(9)).expect("small")) + numbers.next() % 99_991;
        let seconds = FIRST_SECONDS + SPAN_SECONDS / count.max(1) * index;
        let at = jiff::Timestamp::from_second(i64::try_from(seconds).expect("a time")).expect("a time");
        let withdrawn = if numbers.below(500) == 0 { "\"action\":\"withdraw\"," } else { "" };
        format!(
            "daybook/record/v1\n{{{withdrawn}\"agency\":\"agency-{agency}.gov.example\",\"at\":\"{at}\",\
             \"key\":\"{register}-{}\",\"log\":\"log.example/search\",\"previous\":null,\"public\":{{\
             \"amount_cents\":{cents},\"currency\":\"EUR\",\"supplier\":\"{supplier}\",\"text\":\"{text}\"}},\
             \"register\":\"register-{register}\",\"title\":\"{title}\"}}\n\n\
             \u{2014} agency-{agency}.gov.example/publisher {}\n",
            index / VERSIONS,
            "A".repeat(92),
        )
        .into_bytes()
    }
}
