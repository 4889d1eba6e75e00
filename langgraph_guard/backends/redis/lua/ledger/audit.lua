-- What people did: the newest thousand records of a tenant, each as "moment record".
local function audit(key, now, record)
  redis.call('RPUSH', key, string.format('%.17g ', now) .. record)
  redis.call('LTRIM', key, -1000, -1)
end
