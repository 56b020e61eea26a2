wrk.method = "POST"
wrk.body   = '{"message": "Hello", "temperature": 0.7}'
wrk.headers["Content-Type"] = "application/json"
