package serve

import "bytes"

// redisLoading begins the answer to any command while the data set is loaded:
// "-LOADING Redis is loading the dataset in memory" (Redis and Valkey alike).
const redisLoading = "-LOADING"

// redis says PING as an inline command, which needs no login to be told LOADING
// (an answer of NOAUTH is service).
func redis() Probe {
	return Probe{name: "redis", hello: []byte("PING\r\n"), judge: judgeRedis}
}

func judgeRedis(reply []byte, ended bool) verdict {
	switch {
	case bytes.HasPrefix(reply, []byte(redisLoading)):
		return starting
	case len(reply) == 0 && ended:
		return silent
	case !ended && bytes.HasPrefix([]byte(redisLoading), reply):
		return undecided
	}
	return serving
}
