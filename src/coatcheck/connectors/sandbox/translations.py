"""The texts of the sandbox bank that its customers read, in the languages of the widget."""
# ruff: noqa: RUF001 (the apostrophe of French)

from collections.abc import Mapping
from types import MappingProxyType

TRANSLATIONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "es": {
            "Username": "Usuario",
            "Sign in to {bank}": "Iniciar sesión en {bank}",
            "{app} wants to read at {bank}:": "{app} quiere leer en {bank}:",
            "An app": "Una aplicación",
            "your accounts and their balances": "sus cuentas y sus saldos",
            "your transactions": "sus movimientos",
            "your past transactions": "sus movimientos anteriores",
            "your account and routing numbers": "sus números de cuenta y de ruta",
            "the names and addresses of the owners": "los nombres y las direcciones de los titulares",
            "your statements": "sus extractos",
            "Any name works and has accounts of its own.": (
                "Sirve cualquier nombre; cada uno tiene sus propias cuentas."
            ),
            "Enter a username.": "Introduzca un usuario.",
            "Allow": "Permitir",
            "Deny": "Rechazar",
            "For testers: controls to add to the name": "Para probadores: controles que se añaden al nombre",
            "A sandbox bank: nobody's money, nobody's password.": (
                "Un banco de pruebas: el dinero y las contraseñas no son de nadie."
            ),
            "Any username works; the password decides what happens.": (
                "Sirve cualquier usuario; la contraseña decide qué ocurre."
            ),
            "What city were you born in?": "¿En qué ciudad nació?",
            "On which of these streets have you lived?": "¿En cuál de estas calles ha vivido?",
            "What does the picture say?": "¿Qué dice la imagen?",
            "Which picture did you choose when you signed up?": "¿Qué imagen eligió al registrarse?",
            "Enter the code we sent to your phone ending in 0142.": (
                "Introduzca el código que enviamos a su teléfono terminado en 0142."
            ),
            "Enter the code we told you in the call.": "Introduzca el código que le dijimos en la llamada.",
            "Enter the code we sent to your email address.": (
                "Introduzca el código que enviamos a su correo electrónico."
            ),
            "We sent a new code. Enter the new code.": "Enviamos un código nuevo. Introdúzcalo.",
            "How should we send your code?": "¿Cómo le enviamos el código?",
            "Text message to the number ending in 0142": "Mensaje de texto al número terminado en 0142",
            "Call to the number ending in 0142": "Llamada al número terminado en 0142",
            "Email to m•••@example.com": "Correo electrónico a m•••@example.com",
            "Send a new code": "Enviar un código nuevo",
            "Get the code another way": "Recibir el código de otra forma",
            "Lantern Lane (correct)": "Lantern Lane (correcta)",
            "Kettle Court (wrong)": "Kettle Court (incorrecta)",
            "Echo Street (asks again)": "Echo Street (vuelve a preguntar)",
            "Padlock Place (locks the login)": "Padlock Place (bloquea el acceso)",
            "Quarry Row (server error)": "Quarry Row (error del servidor)",
            "Circle (correct)": "Círculo (correcta)",
            "Square (wrong)": "Cuadrado (incorrecta)",
            "Triangle (unavailable)": "Triángulo (no disponible)",
        },
        "fr-CA": {
            "Username": "Nom d’utilisateur",
            "Sign in to {bank}": "Se connecter à {bank}",
            "{app} wants to read at {bank}:": "{app} souhaite lire chez {bank} :",
            "An app": "Une application",
            "your accounts and their balances": "vos comptes et leurs soldes",
            "your transactions": "vos opérations",
            "your past transactions": "vos opérations passées",
            "your account and routing numbers": "vos numéros de compte et d’acheminement",
            "the names and addresses of the owners": "les noms et les adresses des titulaires",
            "your statements": "vos relevés",
            "Any name works and has accounts of its own.": (
                "N’importe quel nom convient; chacun a ses propres comptes."
            ),
            "Enter a username.": "Entrez un nom d’utilisateur.",
            "Allow": "Autoriser",
            "Deny": "Refuser",
            "For testers: controls to add to the name": "Pour les testeurs : commandes à ajouter au nom",
            "A sandbox bank: nobody's money, nobody's password.": (
                "Une banque d’essai : l’argent et les mots de passe ne sont à personne."
            ),
            "Any username works; the password decides what happens.": (
                "N’importe quel nom d’utilisateur convient; le mot de passe décide de la suite."
            ),
            "What city were you born in?": "Dans quelle ville êtes-vous né(e)?",
            "On which of these streets have you lived?": "Dans laquelle de ces rues avez-vous habité?",
            "What does the picture say?": "Que dit l’image?",
            "Which picture did you choose when you signed up?": (
                "Quelle image avez-vous choisie à l’inscription?"
            ),
            "Enter the code we sent to your phone ending in 0142.": (
                "Entrez le code envoyé à votre téléphone se terminant par 0142."
            ),
            "Enter the code we told you in the call.": "Entrez le code que nous vous avons donné par téléphone.",
            "Enter the code we sent to your email address.": "Entrez le code envoyé à votre adresse courriel.",
            "We sent a new code. Enter the new code.": "Nous avons envoyé un nouveau code. Entrez-le.",
            "How should we send your code?": "Comment devons-nous envoyer votre code?",
            "Text message to the number ending in 0142": "Message texte au numéro se terminant par 0142",
            "Call to the number ending in 0142": "Appel au numéro se terminant par 0142",
            "Email to m•••@example.com": "Courriel à m•••@example.com",
            "Send a new code": "Envoyer un nouveau code",
            "Get the code another way": "Recevoir le code autrement",
            "Lantern Lane (correct)": "Lantern Lane (bonne réponse)",
            "Kettle Court (wrong)": "Kettle Court (mauvaise réponse)",
            "Echo Street (asks again)": "Echo Street (nouvelle question)",
            "Padlock Place (locks the login)": "Padlock Place (verrouille l’accès)",
            "Quarry Row (server error)": "Quarry Row (erreur du serveur)",
            "Circle (correct)": "Cercle (bonne réponse)",
            "Square (wrong)": "Carré (mauvaise réponse)",
            "Triangle (unavailable)": "Triangle (non disponible)",
        },
    }
)
"""By language (BCP 47) and English text."""


def translate(text: str, language: str, **names: str) -> str:
    """The text in this language, with the names for the braces in it; in English in any other language."""
    translated = TRANSLATIONS.get(language, {}).get(text, text)
    return translated.format(**names) if names else translated
