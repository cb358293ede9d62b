package admin

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// negotiate refuses a body that says not what it is, and an answer that its reader could not take.
func negotiate(r *http.Request, takes, media string) *problem {
	if r.ContentLength != 0 && (takes == "" || r.Header.Get("Content-Type") == "") {
		switch r.Method {
		case http.MethodPost, http.MethodPut, http.MethodPatch: // another site's page can send a body without a type and is not asked first
			if !saysJSON(r.Header.Values("Content-Type")) {
				return unsupportedMedia()
			}
			r.Header.Set("Content-Type", "application/json") // huma compares letter by letter
		}
	}
	if accept := r.Header.Values("Accept"); media != anyMedia && !accepts(strings.Join(accept, ","), media) {
		return newProblem(http.StatusNotAcceptable, "not-acceptable", "this address answers "+media+"; leave Accept out, or name that in it")
	}
	return nil
}

// saysJSON takes JSON in UTF-8, the only encoding that it has (RFC 8259 section 8.1). Types ignore case (RFC 9110 section 8.3.1).
func saysJSON(header []string) bool {
	if len(header) != 1 {
		return false
	}
	kind, params, err := mime.ParseMediaType(header[0])
	charset := params["charset"]
	return err == nil && (kind == "application/json" || kind == "application/merge-patch+json") && (charset == "" || strings.EqualFold(charset, "utf-8"))
}

func unsupportedMedia() *problem {
	return newProblem(http.StatusUnsupportedMediaType, "media-type-unsupported", "send application/json, or application/merge-patch+json with PATCH")
}

// accepts reads an Accept header (RFC 9110 section 12.5.1): the most specific range that holds the type decides, and a weight
// of 0 refuses. What cannot be read as a range names nothing.
func accepts(header, media string) bool {
	kind, _, _ := strings.Cut(media, "/")
	best, good := 0, strings.TrimSpace(header) == ""
	for part := range strings.SplitSeq(header, ",") {
		name, params, err := mime.ParseMediaType(part)
		rank := map[string]int{"*/*": 1, kind + "/*": 2, media: 3}[name]
		if err != nil || rank <= best {
			continue
		}
		q, err := strconv.ParseFloat(params["q"], 64)
		best, good = rank, err != nil || q > 0
	}
	return good
}
