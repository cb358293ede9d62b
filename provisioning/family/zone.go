package family

// Zone is a time zone as phones need it told, computed from the tz database, never typed by hand.
type Zone struct {
	Name   string // IANA: "Europe/Berlin"; "" = not set
	Offset int    // seconds east of UTC in standard time
	POSIX  string // TZ string: "CET-1CEST,M3.5.0,M10.5.0/3"
	DST    bool   // whether summer time is kept
	Save   int    // seconds that summer time adds
	Start  Change // when summer time begins, in local standard time
	End    Change // when it ends, in local summer time
}

// Change is a yearly day rule: the Week-th Weekday of Month (Week 5 = the last one) at Hour:Minute local time.
type Change struct {
	Month   int // 1-12
	Week    int // 1-5
	Weekday int // 0 = Sunday
	Hour    int
	Minute  int
}
