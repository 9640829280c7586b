//! The values of conditions.

use super::{Here, Spot, Unknown, Use, UseIndex, Walk};
use crate::eval;
use crate::expand::{self, Budget, Expander, Place, Stop};
use crate::hash::bytes64;
use crate::limits::{LINE_TOKENS_MAX, UNKNOWN_NOTED_MAX};
use crate::names::{self, Name};
use crate::parsed::{Directive, TextId};
use crate::report::Why;
use crate::search::Wanted;
use crate::token::Token;
use crate::toolchain::{Family, Question};
use crate::value::{Int, Value};

impl Walk<'_> {
    pub(super) fn condition(
        &mut self,
        directive: Directive,
        here: &Here,
        spot: Spot,
    ) -> Option<bool> {
        let value = match directive {
            _ if self.is_blind(here, spot.line) => None,
            Directive::Ifdef { name, .. } => self.defined(name),
            Directive::Ifndef { name, .. } => self.defined(name).map(|it| !it),
            Directive::Elifdef { name, negated, .. } if self.elifdef => {
                self.defined(name).map(|it| it != negated)
            }
            Directive::If { text, .. } | Directive::Elif { text, .. } => {
                self.value(text, here).map(Int::is_true)
            }
            _ => None,
        };
        if value.is_none() {
            self.tainted += 1;
            let unknown = Unknown {
                file: here.index,
                spot: spot.number,
            };
            if self.unknown.len() < UNKNOWN_NOTED_MAX && !self.unknown.contains(&unknown) {
                self.unknown.push(unknown);
            }
        }
        value
    }

    /// Whether a test wants this condition to be unknown.
    fn is_blind(&self, here: &Here, line: u32) -> bool {
        self.scanner.blind.is_some_and(|choice| {
            let place = u64::from(here.node.0) << 32 | u64::from(line);
            bytes64(&(place ^ choice).to_le_bytes()).is_multiple_of(8)
        })
    }

    pub(super) fn defined(&mut self, name: Name) -> Option<bool> {
        let state = &mut self.scanner.state;
        let binding = state.seen(name, &self.scanner.store.names);
        state.is_defined(binding)
    }

    pub(super) fn value(&mut self, text: TextId, here: &Here) -> Value {
        let tokens = self.scanner.store.text(text);
        if let Ok(value) = eval::direct(
            &tokens,
            &self.scanner.store,
            self.mode.cxx,
            &mut self.scanner.state,
        ) {
            return value;
        }
        let place = self.place(here, true);
        let Ok((tokens, questions)) = self.expand(&tokens, place) else {
            return None;
        };
        let answers: Vec<Value> = questions
            .iter()
            .map(|question| self.answer(question, here))
            .collect();
        let value = eval::expanded(&tokens, &self.scanner.store, self.mode.cxx, &answers);
        self.scanner.scratch.give(tokens);
        value
    }

    /// Expands a line; meeting a limit ends the scan.
    pub(super) fn expand(
        &mut self,
        tokens: &[Token],
        place: Place,
    ) -> Result<(Vec<Token>, Vec<expand::Question>), Stop> {
        let budget = self.tokens_left.min(LINE_TOKENS_MAX);
        let mut left = Budget::new(budget);
        let mut expander = Expander::new(
            &mut self.scanner.store,
            &mut self.scanner.state,
            place,
            &mut left,
            &mut self.scanner.scratch,
        );
        let expanded = expander.expand(tokens);
        let questions = std::mem::take(&mut expander.questions);
        self.tainted += u32::from(expander.is_of_place);
        self.tokens_left -= budget - left.tokens;
        if expanded == Err(Stop::Limit) {
            self.limit(match left.exhausted {
                true if budget < LINE_TOKENS_MAX => "EXPANSION_TOKENS_MAX",
                true => "LINE_TOKENS_MAX",
                false => "NESTING_MAX",
            });
        }
        Ok((expanded?, questions))
    }

    pub(super) fn place(&mut self, here: &Here, condition: bool) -> Place {
        let file = here.renamed.unwrap_or_else(|| {
            let quoted = [b"\"", self.scanner.tree.spelled(here.node), b"\""].concat();
            Some(self.scanner.store.names.intern(&quoted))
        });
        Place {
            file,
            base_file: self.base_file,
            level: self.depth,
            condition,
        }
    }

    pub(super) fn answer(&mut self, question: &expand::Question, here: &Here) -> Value {
        match *question {
            expand::Question::Header {
                operator,
                header,
                angled,
            } => {
                let next = operator == names::HAS_INCLUDE_NEXT;
                let wanted = Wanted {
                    header,
                    angled,
                    next,
                };
                let found = if operator == names::HAS_EMBED {
                    return self.has_embed(wanted, here);
                } else {
                    self.find(wanted, *here)
                };
                if let Some((node, _)) = found {
                    if self.family == Family::Clang {
                        self.note_use(Use {
                            node,
                            from: UseIndex::new(here.index),
                            spot: 0,
                            why: Why::Probed,
                        });
                    }
                    self.note_probe(node);
                }
                Some(Int::truth(found.is_some()))
            }
            expand::Question::Compiler { operator, operand } => {
                if let Some(&answer) = self
                    .scanner
                    .known(self.toolchain)
                    .answers
                    .get(&(operator, operand))
                {
                    self.answers_used += 1;
                    return Some(Int::new(answer));
                }
                self.tainted += 1;
                let text = |name| {
                    String::from_utf8_lossy(self.scanner.store.names.text(name)).into_owned()
                };
                let question = Question {
                    operator: text(operator),
                    operand: text(operand),
                };
                if !self.out.questions.contains(&question) {
                    self.out.questions.push(question);
                }
                None
            }
        }
    }

    /// 0 when there is no such file; whether it is empty, which makes the answer 2, and what its parameters mean is
    /// left open.
    pub(super) fn has_embed(&mut self, wanted: Wanted, here: &Here) -> Value {
        let path = self.path;
        let (lookups, mut world) = self.world();
        match lookups.find_embed(path, wanted, here.node, &mut world) {
            Ok(None) => Some(Int::new(0)),
            _ => None,
        }
    }
}
