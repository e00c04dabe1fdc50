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
	texts  trie // ids are indices of tokens
	first  [256]bool
}

// An addedMatch is a token found: start and stop with the white space it took, next
// where the search goes on.
type addedMatch struct {
	id                int32
	start, stop, next int
}

// makeAddedSets fills the two sets. A token that normalises to nothing cannot be found.
func (t *Tokenizer) makeAddedSets() {
	t.rawAdded.texts, t.normAdded.texts = newTrie(0), newTrie(0)
	var marks []mark
	for _, a := range t.def.added {
		text := t.def.text[a.id]
		if !a.normalized {
			t.rawAdded.add(text, a)
			continue
		}
		if t.normalizer.on {
			text = string(t.normalizer.append(nil, []byte(text), &marks))
		}
		if text != "" {
			t.normAdded.add(text, a)
		}
	}
}

// add adds a token. Of two with the same normalised text the first wins; Hugging Face takes either, by chance.
func (s *addedSet) add(text string, a addedToken) {
	if s.texts.insert(text, int32(len(s.tokens))) {
		s.tokens = append(s.tokens, a)
		s.first[text[0]] = true
	}
}

// find finds the next token at or after byte from. It may start in white space that the
// token before took. The rules, with what they do to overlaps, are those of
// AddedVocabulary::find_matches in huggingface/tokenizers.
func (s *addedSet) find(text []byte, from int) (addedMatch, bool) {
	for i := from; i < len(text); {
		if !s.first[text[i]] {
			i++
			continue
		}
		index, n := s.texts.longest(rootNode, text[i:])
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
