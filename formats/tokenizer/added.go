package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// An addedToken is a token that is found in the text before the model sees it.
// Its text is that of its id.
type addedToken struct {
	id         int32
	singleWord bool // only where no word character stands beside it
	lstrip     bool // takes the white space before it
	rstrip     bool // takes the white space after it
	normalized bool // is sought in normalised text, and normalised itself
	outside    bool // not a token of the model's own vocabulary
}

// An addedSet finds added tokens: the leftmost, of these the longest.
type addedSet struct {
	tokens []addedToken
	texts  lexicon // of the tokens, by their index
	empty  hashState
	first  [256]bool // bytes that a text begins with
}

// An addedMatch is a token found: start and stop with the white space it took, next
// where the search goes on.
type addedMatch struct {
	id                int32
	start, stop, next int
}

// makeAddedSets fills the two sets. A token that normalises to nothing cannot
// be found. Of two that normalise to the same text the first wins; Hugging Face takes either, by chance.
func (t *Tokenizer) makeAddedSets() error {
	var raw, normal []addedToken
	var rawTexts, normalTexts []string
	seen := map[string]bool{}
	var marks []mark
	for _, a := range t.def.added {
		text := t.def.text[a.id]
		if !a.normalized {
			raw, rawTexts = append(raw, a), append(rawTexts, text)
			continue
		}
		if t.normalizer.on {
			text = string(t.normalizer.append(nil, []byte(text), &marks))
		}
		if text != "" && !seen[text] {
			normal, normalTexts = append(normal, a), append(normalTexts, text)
			seen[text] = true
		}
	}
	var err error
	if t.rawAdded, err = newAddedSet(raw, rawTexts); err != nil {
		return err
	}
	t.normAdded, err = newAddedSet(normal, normalTexts)
	return err
}

func newAddedSet(tokens []addedToken, texts []string) (addedSet, error) {
	l, err := newLexicon(texts, nil)
	s := addedSet{tokens: tokens, texts: l, empty: l.start("")}
	for _, text := range texts {
		s.first[text[0]] = true
	}
	return s, err
}

// find finds the next token at or after byte from. It may start in white space that the
// token before took. The rules, with what they do to overlaps, are those of
// AddedVocabulary::find_matches in huggingface/tokenizers.
func (s *addedSet) find(text []byte, from int, scratch *prefixHashes) (addedMatch, bool) {
	for i := from; i < len(text); {
		if !s.first[text[i]] {
			i++
			continue
		}
		index, n := s.texts.find(&s.empty, text[i:], scratch)
		if n == 0 {
			i++
			continue
		}
		token := s.tokens[index]
		m := addedMatch{id: token.id, start: i, stop: i + n, next: i + n}
		if token.singleWord && !standsAlone(text, m.start, m.stop) {
			i = m.next
			continue
		}
		if token.lstrip {
			m.start = spaceBefore(text, m.start)
		}
		if token.rstrip {
			m.stop = spaceAfter(text, m.stop)
		}
		return m, true
	}
	return addedMatch{}, false
}

func standsAlone(text []byte, start, stop int) bool {
	before, _ := utf8.DecodeLastRune(text[:start])
	after, _ := utf8.DecodeRune(text[stop:])
	return (start == 0 || !isWord(before)) && (stop == len(text) || !isWord(after))
}

// spaceBefore is where the white space that ends at i begins.
func spaceBefore(text []byte, i int) int {
	for i > 0 {
		r, size := utf8.DecodeLastRune(text[:i])
		if !unicode.IsSpace(r) {
			break
		}
		i -= size
	}
	return i
}

// spaceAfter is where the white space that begins at i ends.
func spaceAfter(text []byte, i int) int {
	for i < len(text) {
		r, size := utf8.DecodeRune(text[i:])
		if !unicode.IsSpace(r) {
			break
		}
		i += size
	}
	return i
}
