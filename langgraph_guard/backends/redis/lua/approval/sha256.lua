-- SHA-256 (FIPS 180-4), which a server's Lua does not have. As 64 hex digits.
-- Sums are left as they are: `bit` takes any whole number below 2^51 modulo 2^32, and within a block none comes near.
local band, bxor, ror, rshift, tobit = bit.band, bit.bxor, bit.ror, bit.rshift, bit.tobit
local ROUNDS = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}

-- The text, a one, noughts, and its length in bits: blocks of 64 bytes. A length below 2^32 bits, which a deed's is.
local function padded(text)
  local bits = #text * 8
  local length = string.char(rshift(bits, 24), band(rshift(bits, 16), 255), band(rshift(bits, 8), 255), band(bits, 255))
  return text .. '\128' .. string.rep('\0', (-#text - 9) % 64 + 4) .. length
end

-- The 64 words that a block is stretched to.
local function stretched(text, first)
  local words = {}
  for number = 1, 16 do
    local a, b, c, d = string.byte(text, first + number * 4 - 4, first + number * 4 - 1)
    words[number] = a * 16777216 + b * 65536 + c * 256 + d
  end
  for number = 17, 64 do
    local early, late = words[number - 15], words[number - 2]
    words[number] = words[number - 16] + bxor(ror(early, 7), ror(early, 18), rshift(early, 3))
      + words[number - 7] + bxor(ror(late, 17), ror(late, 19), rshift(late, 10))
  end
  return words
end

local function sha256(text)
  local h1, h2, h3, h4 = 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a
  local h5, h6, h7, h8 = 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
  text = padded(text)
  for first = 1, #text, 64 do
    local words, a, b, c, d, e, f, g, h = stretched(text, first), h1, h2, h3, h4, h5, h6, h7, h8
    local differ = bxor(b, c)
    for number = 1, 64 do
      local chosen = bxor(g, band(e, bxor(f, g)))
      local step = h + bxor(ror(e, 6), ror(e, 11), ror(e, 25)) + chosen + ROUNDS[number] + words[number]
      local differs = bxor(a, b)
      local most = bxor(b, band(differs, differ))
      h, g, f, e, d, c, b, differ = g, f, e, d + step, c, b, a, differs
      a = step + bxor(ror(a, 2), ror(a, 13), ror(a, 22)) + most
    end
    h1, h2, h3, h4 = tobit(h1 + a), tobit(h2 + b), tobit(h3 + c), tobit(h4 + d)
    h5, h6, h7, h8 = tobit(h5 + e), tobit(h6 + f), tobit(h7 + g), tobit(h8 + h)
  end
  local hex = bit.tohex
  return hex(h1) .. hex(h2) .. hex(h3) .. hex(h4) .. hex(h5) .. hex(h6) .. hex(h7) .. hex(h8)
end
