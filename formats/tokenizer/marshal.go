package tokenizer

import "encoding/binary"

// The binary form, which travels inside a plan. A byte is written as it is; every other
// number is an unsigned LEB128 of the fewest bytes ("number"); "id?" is a number that is 0
// for none, else the id plus one; text is UTF-8 without terminator.
//
//	byte     version, 1
//	byte     model: 1 WordPiece, 2 byte-level BPE
//	number   flags, the sum of the flag constants below
//	number   model_max_length in tokens, 0 for none
//	id?      unknown token
//	number   T, count of ids; then T numbers, the length in bytes of each id's
//	         token, 0 where no token has the id; then all these texts in one run
//	WordPiece:
//	  number   length of the continuing prefix, then its text
//	  number   max_input_chars_per_word
//	BPE:
//	  256 id?  token of each byte value
//	  number   M, count of merges; then by ascending rank M times three
//	           numbers: left id, right id, id of the result
//	number   A, count of added tokens; then A times a number, the id, and a
//	         byte, the sum of the added constants below
//	twice, the template of one text and that of a pair:
//	  number   P, count of pieces; then P times a byte, 0 the text, 1 the
//	           second text, 2 a special token; a number, its id (0 for texts); a number, its type id
//
// Nothing follows. All ids are below T and have a token. Equal tokenizers
// have equal bytes, and bytes that Unmarshal takes are what Marshal gives back.
const formatVersion = 1

const (
	flagNormalizer     = 1 << iota // BertNormalizer is on; the next four are its settings
	flagCleanText                  // clean_text
	flagChineseChars               // handle_chinese_chars
	flagStripAccents               // strip_accents, null resolved
	flagLowercase                  // lowercase
	flagAddPrefixSpace             // BPE: a space before each text that has none
	flagFuseUnk                    // BPE: one unknown token for a run of unknown bytes
	flagTypeIDs                    // type ids follow the template, else zeros
	flagTruncateLeft               // truncation keeps the end
	knownFlags         = 1<<iota - 1
)

const (
	addedSingleWord = 1 << iota // single_word
	addedLStrip                 // lstrip
	addedRStrip                 // rstrip
	addedNormalized             // normalized
	addedOutside                // not in the model's own vocabulary
	knownAdded      = 1<<iota - 1
)

// Marshal is the binary form of t.
func (t *Tokenizer) Marshal() []byte {
	d := &t.def
	b := []byte{formatVersion, byte(d.model)}
	b = appendNumber(b, d.flags())
	b = appendNumber(b, d.modelMaxLength)
	b = appendOptional(b, d.unk)
	b = d.appendTokens(b)
	switch d.model {
	case wordPiece:
		b = appendNumber(b, len(d.continuingPrefix))
		b = append(b, d.continuingPrefix...)
		b = appendNumber(b, d.maxWordChars)
	case byteLevelBPE:
		b = d.appendMerges(b)
	}
	b = appendNumber(b, len(d.added))
	for _, a := range d.added {
		b = append(appendNumber(b, int(a.id)), a.flags())
	}
	return d.pair.append(d.single.append(b))
}

func (d *definition) appendTokens(b []byte) []byte {
	b = appendNumber(b, len(d.text))
	for _, s := range d.text {
		b = appendNumber(b, len(s))
	}
	for _, s := range d.text {
		b = append(b, s...)
	}
	return b
}

func (d *definition) appendMerges(b []byte) []byte {
	for _, id := range d.byteID {
		b = appendOptional(b, id)
	}
	b = appendNumber(b, len(d.merges))
	for _, m := range d.merges {
		b = appendNumber(b, int(m.left))
		b = appendNumber(b, int(m.right))
		b = appendNumber(b, int(m.result))
	}
	return b
}

func (t template) append(b []byte) []byte {
	b = appendNumber(b, len(t))
	for _, p := range t {
		b = append(b, p.kind)
		b = appendNumber(b, int(p.id))
		b = appendNumber(b, int(p.typeID))
	}
	return b
}

func appendNumber(b []byte, n int) []byte { return binary.AppendUvarint(b, uint64(n)) }

func appendOptional(b []byte, id int32) []byte { return appendNumber(b, int(id)+1) }

// flags packs the switches. The order is that of setFlags.
func (d *definition) flags() int {
	return flagIf(d.normalize.on, flagNormalizer) |
		flagIf(d.normalize.cleanText, flagCleanText) |
		flagIf(d.normalize.chineseChars, flagChineseChars) |
		flagIf(d.normalize.stripAccents, flagStripAccents) |
		flagIf(d.normalize.lowercase, flagLowercase) |
		flagIf(d.addPrefixSpace, flagAddPrefixSpace) |
		flagIf(d.fuseUnk, flagFuseUnk) |
		flagIf(d.typeIDs, flagTypeIDs) |
		flagIf(d.truncateLeft, flagTruncateLeft)
}

func (d *definition) setFlags(f int) {
	d.normalize = normalizerOptions{
		on:           f&flagNormalizer != 0,
		cleanText:    f&flagCleanText != 0,
		chineseChars: f&flagChineseChars != 0,
		stripAccents: f&flagStripAccents != 0,
		lowercase:    f&flagLowercase != 0,
	}
	d.addPrefixSpace = f&flagAddPrefixSpace != 0
	d.fuseUnk = f&flagFuseUnk != 0
	d.typeIDs = f&flagTypeIDs != 0
	d.truncateLeft = f&flagTruncateLeft != 0
}

func (a *addedToken) flags() byte {
	return byte(flagIf(a.singleWord, addedSingleWord) |
		flagIf(a.lstrip, addedLStrip) |
		flagIf(a.rstrip, addedRStrip) |
		flagIf(a.normalized, addedNormalized) |
		flagIf(a.outside, addedOutside))
}

func (a *addedToken) setFlags(f byte) {
	a.singleWord = f&addedSingleWord != 0
	a.lstrip = f&addedLStrip != 0
	a.rstrip = f&addedRStrip != 0
	a.normalized = f&addedNormalized != 0
	a.outside = f&addedOutside != 0
}

func flagIf(on bool, flag int) int {
	if on {
		return flag
	}
	return 0
}
