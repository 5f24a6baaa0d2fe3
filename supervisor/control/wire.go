package control

import "unicode/utf8"

// JSON holds no bytes that are not UTF-8, and a service may write any: such a
// message goes as raw besides, so that it arrives as it was written.

// wireRecord is a Record as it is sent.
type wireRecord struct {
	Record
	Raw []byte `json:"raw,omitempty"`
}

// wireLine is a LogLine as it is sent and kept.
type wireLine struct {
	LogLine
	Raw []byte `json:"raw,omitempty"`
}

func raw(message string) []byte {
	if utf8.ValidString(message) {
		return nil
	}
	return []byte(message)
}

func ofRecord(r Record) wireRecord { return wireRecord{r, raw(r.Message)} }

func ofLine(l LogLine) wireLine { return wireLine{l, raw(l.Message)} }

func (w wireRecord) record() Record {
	if w.Raw != nil {
		w.Message = string(w.Raw)
	}
	return w.Record
}

func (w wireLine) line() LogLine {
	if w.Raw != nil {
		w.Message = string(w.Raw)
	}
	return w.LogLine
}
